// Command sdk-v2 uses the AWS SDK for Go v2 with its default chain. Its argument is the address of S3.
package main

import (
	"context"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"keyturn.dev/tests/matrix/clients/go/loop"
)

func main() {
	var client *s3.Client
	loop.Run(func() error {
		if client == nil {
			loaded, err := config.LoadDefaultConfig(context.Background())
			if err != nil {
				return err
			}
			client = s3.NewFromConfig(loaded, func(options *s3.Options) {
				options.UsePathStyle, options.BaseEndpoint = true, aws.String(os.Args[1])
			})
		}
		_, err := client.ListObjectsV2(context.Background(), &s3.ListObjectsV2Input{Bucket: aws.String("bucket")})
		return err
	})
}
