"""The user of the API key, and the names of the secrets that this user keeps in DSS."""
import os

import dataikuapi

client = dataikuapi.DSSClient(os.environ["DKU_DSS_URL"], os.environ["DKU_API_KEY"])
me = client.get_auth_info()
print("login:", me["authIdentifier"])
print("groups:", me["groups"])
secrets = client.get_auth_info(with_secrets=True)["secrets"]
print("secrets:", [secret["key"] for secret in secrets])
