// Command sdk-go is a workload that knows nothing of keyturn: it uses the AWS SDK for Go as its manual says, lists a
// bucket again and again with one client, and prints a line of JSON for each call. Whether it notices new credentials
// is the SDK's doing alone.
//
//	sdk-go -bucket NAME [-every 1s] [-times N] [-new-client]
//
// The region, the endpoint (AWS_ENDPOINT_URL) and where credentials are come from the environment and the shared files.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

type line struct {
	At          time.Time `json:"at"`
	OK          bool      `json:"ok"`
	Keys        int       `json:"keys"`
	AccessKeyID string    `json:"accessKeyId,omitempty"`
	Expires     string    `json:"expires,omitempty"`
	Source      string    `json:"source,omitempty"`
	Error       string    `json:"error,omitempty"`
}

func main() {
	bucket := flag.String("bucket", "", "the bucket to list")
	every := flag.Duration("every", time.Second, "how long from call to call")
	times := flag.Int("times", 0, "how many calls; 0 is for ever")
	newClient := flag.Bool("new-client", false, "load the configuration anew for each call")
	flag.Parse()
	if *bucket == "" {
		flag.Usage()
		os.Exit(2)
	}
	out := json.NewEncoder(os.Stdout)
	var client *s3.Client
	for n := 1; ; n++ {
		said := line{At: time.Now().UTC()}
		if client == nil || *newClient {
			client = connect(&said)
		}
		if client != nil {
			list(client, *bucket, &said)
		}
		if err := out.Encode(said); err != nil {
			os.Exit(1)
		}
		if n == *times {
			return
		}
		time.Sleep(*every)
	}
}

func connect(said *line) *s3.Client {
	loaded, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		said.Error = err.Error()
		return nil
	}
	return s3.NewFromConfig(loaded, func(options *s3.Options) { options.UsePathStyle = true })
}

func list(client *s3.Client, bucket string, said *line) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	answer, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(bucket)})
	if err == nil {
		said.OK, said.Keys = true, len(answer.Contents)
	} else {
		said.Error = err.Error()
	}
	// After the call, so that these are the ones that it was signed with.
	if used, err := client.Options().Credentials.Retrieve(ctx); err == nil {
		said.AccessKeyID, said.Source = used.AccessKeyID, used.Source
		if used.CanExpire {
			said.Expires = used.Expires.UTC().Format(time.RFC3339)
		}
	}
}
