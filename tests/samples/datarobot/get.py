"""The credential that keyturn keeps in DataRobot, by its ID."""
import os

import datarobot as dr

dr.Client()
credential = dr.Credential.get(os.environ["DATAROBOT_CREDENTIAL_ID"])
print(credential.name, credential.credential_type, credential.description)
