"""The credentials of the account."""
import datarobot as dr

dr.Client()
for credential in dr.Credential.list():
    print(credential.name, credential.credential_type)
