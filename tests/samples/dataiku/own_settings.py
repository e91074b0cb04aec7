"""Changes what a user may change of the user's own settings, and reads it again."""
import dataiku

client = dataiku.api_client()
settings = client.get_own_user().get_settings()
settings.user_properties["colour"] = "green"
settings.add_secret("mail", "hunter2")
settings.set_basic_connection_credential("warehouse", "alice_w", "hunter3")
settings.set_basic_plugin_credential("jira", "accounts", "main", "login", "alice_j", "hunter4")
settings.save()

again = client.get_own_user().get_settings()
print("properties:", dict(again.user_properties))
print("credentials:", sorted(again.get_raw()["credentials"]))
print("secrets:", [secret["key"] for secret in client.get_auth_info(with_secrets=True)["secrets"]])
