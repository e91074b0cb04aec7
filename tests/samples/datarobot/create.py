"""Credentials of three types, made by hand beside keyturn's, and deleted again."""
import datarobot as dr

dr.Client()
made = [
    dr.Credential.create_basic("tutorial-basic", "user", "password"),
    dr.Credential.create_oauth("tutorial-oauth", "token", "refresh token"),
    dr.Credential.create_s3("tutorial-s3", aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="secret"),
]
print(*(credential.credential_type for credential in made))
for credential in made:
    credential.delete()
print("left:", *(credential.name for credential in dr.Credential.list()))
