"""The backend of a webapp. It tells visitors apart by the headers of their browsers, and has one AWS credential.

    webapp.py COOKIE

The argument is what the browser of a visitor sends. An empty one is a browser that is not logged in.
"""
import os
import sys

import boto3
import dataikuapi
import flask

app = flask.Flask(__name__)


@app.route("/")
def page():
    client = dataikuapi.DSSClient(os.environ["DKU_DSS_URL"], os.environ["DKU_API_KEY"])
    visitor = client.get_auth_info_from_browser_headers(dict(flask.request.headers))
    credential = boto3.client("sts").get_caller_identity()["Arn"]
    return f"visitor: {visitor['authIdentifier']}\ncredential: {credential}"


app.testing = True  # An error ends the program in place of a page.
print(app.test_client(use_cookies=False).get("/", headers={"Cookie": sys.argv[1]}).text)
