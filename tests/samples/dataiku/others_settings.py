"""Reads the settings of another user.

    others_settings.py LOGIN
"""
import sys

import dataiku

print(dataiku.api_client().get_user(sys.argv[1]).get_settings().get_raw()["login"])
