// Command minio uses minio-go with the chain of providers that restic and the tools of MinIO use: the variables of AWS,
// the shared credentials file, and the identity of the pod or of the node. Its argument is the address of S3.
package main

import (
	"context"
	"os"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"keyturn.dev/tests/matrix/clients/go/loop"
)

func main() {
	chain := credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
	})
	var client *minio.Client
	loop.Run(func() (err error) {
		if client == nil {
			address := strings.TrimPrefix(os.Args[1], "http://")
			client, err = minio.New(address, &minio.Options{Creds: chain, Region: "eu-west-1"})
			if err != nil {
				return err
			}
		}
		for object := range client.ListObjects(context.Background(), "bucket", minio.ListObjectsOptions{}) {
			if object.Err != nil {
				return object.Err
			}
		}
		return nil
	})
}
