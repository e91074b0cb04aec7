"""A STAND-IN for Dataiku's package `dataiku`, for tests only.

A DSS serves the real package (`dataiku-internal-client`); no public registry has it. This module has the documented
order in which the real one finds its DSS outside of DSS, and nothing else of it:

1. `set_remote_dss`, until `clear_remote_dss`;
2. the variables DKU_DSS_URL and DKU_API_KEY;
3. ~/.dataiku/config.json.

The client that it returns is the real one, of the package `dataiku-api-client`.
"""
import json
import os

import dataikuapi

_remote = None


def set_remote_dss(url, api_key, no_check_certificate=False):
    """Names the DSS for this process."""
    global _remote
    _remote = (url, api_key, no_check_certificate)


def clear_remote_dss():
    """Forgets it again."""
    global _remote
    _remote = None


def api_client():
    """A client of the DSS that was found."""
    url, api_key, no_check_certificate = _remote or _of_variables() or _of_file()
    return dataikuapi.DSSClient(url, api_key, no_check_certificate=no_check_certificate)


def default_project_key():
    """The project of this process."""
    return os.environ["DKU_CURRENT_PROJECT_KEY"]


def _of_variables():
    url, api_key = os.environ.get("DKU_DSS_URL"), os.environ.get("DKU_API_KEY")
    return (url, api_key, False) if url and api_key else None


def _of_file():
    with open(os.path.expanduser("~/.dataiku/config.json")) as file:
        config = json.load(file)
    instance = config["dss_instances"][config["default_instance"]]
    return instance["url"], instance["api_key"], instance.get("no_check_certificate", False)
