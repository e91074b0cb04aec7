// Command sdk-v1 uses the AWS SDK for Go v1 with its default chain. Its argument is the address of S3.
package main

import (
	"os"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/s3"

	"keyturn.dev/tests/matrix/clients/go/loop"
)

func main() {
	var client *s3.S3
	loop.Run(func() error {
		if client == nil {
			loaded, err := session.NewSession()
			if err != nil {
				return err
			}
			client = s3.New(loaded, aws.NewConfig().WithEndpoint(os.Args[1]).WithS3ForcePathStyle(true))
		}
		_, err := client.ListObjectsV2(&s3.ListObjectsV2Input{Bucket: aws.String("bucket")})
		return err
	})
}
