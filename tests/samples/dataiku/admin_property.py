"""Tries to set an admin property of one's own: the role that DSS and keyturn take for this user.

    admin_property.py ARN
"""
import sys

import dataiku

own = dataiku.api_client().get_own_user()
settings = own.get_settings()
print("visible:", "adminProperties" in settings.get_raw())
settings.get_raw()["adminProperties"] = {"associatedRole": sys.argv[1]}
settings.save()
print("visible after it was saved:", "adminProperties" in own.get_settings().get_raw())
