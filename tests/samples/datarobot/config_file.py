"""The same with the settings in a file.

    config_file.py FILE
"""
import os
import sys

import datarobot as dr

del os.environ["DATAROBOT_ENDPOINT"], os.environ["DATAROBOT_API_TOKEN"]
dr.Client(config_path=sys.argv[1])
for credential in dr.Credential.list():
    print(credential.name, credential.credential_type)
