"""The machines of the account and their instance profiles, by the client and by the resource."""
import boto3

session = boto3.Session(region_name="eu-west-1")

for reservation in session.client("ec2").describe_instances()["Reservations"]:
    for instance in reservation["Instances"]:
        print("client:", instance["InstanceId"], instance["State"]["Name"])

for instance in session.resource("ec2").instances.all():
    print("resource:", instance.id, instance.iam_instance_profile["Arn"])
