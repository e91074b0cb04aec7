"""Acts as another user.

    as_another.py LOGIN
"""
import sys

import dataiku

another = dataiku.api_client().get_user(sys.argv[1]).get_client_as()
print("now:", another.get_auth_info()["authIdentifier"])
