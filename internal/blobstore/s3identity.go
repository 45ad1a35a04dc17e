package blobstore

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// s3Identity adapts the credential chain of the AWS SDK to the S3 library: the environment, the shared files with
// their roles and processes, and the role of the pod, task or machine. MINIO_ROOT_USER and MINIO_ROOT_PASSWORD
// work too. The SDK caches what it finds until it expires; the S3 library calls from one goroutine at a time.
type s3Identity struct {
	client *awshttp.BuildableClient
	region string // for the requests to STS
	chain  aws.CredentialsProvider
}

// newS3Identity takes a client of the SDK's own kind, because AWS_CA_BUNDLE needs it.
func newS3Identity(region string, roots *x509.CertPool) *s3Identity {
	client := awshttp.NewBuildableClient().WithTimeout(identityTimeout).WithTransportOptions(func(t *http.Transport) {
		t.Proxy = proxyOf
		t.TLSClientConfig.RootCAs = roots
		t.DisableKeepAlives = true // credentials are asked for about once an hour
	})
	return &s3Identity{client: client, region: cmp.Or(region, defaultRegion)}
}

// RetrieveWithCredContext returns the credentials. An error names the sources but shows no secret.
func (i *s3Identity) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	if value, err := (&credentials.EnvMinio{}).Retrieve(); err == nil && value.AccessKeyID != "" && os.Getenv("AWS_ACCESS_KEY_ID") == "" {
		return value, nil
	}
	ctx := context.Background()
	if cc != nil && cc.Context != nil {
		ctx = cc.Context
	}
	found, err := i.retrieve(ctx)
	if err == nil && !found.HasKeys() {
		err = errors.New("the key is incomplete")
	}
	if err != nil {
		return credentials.Value{}, newIdentityError(s3Sources, err)
	}
	return credentials.Value{AccessKeyID: found.AccessKeyID, SecretAccessKey: found.SecretAccessKey, SessionToken: found.SessionToken}, nil
}

const s3Sources = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, MINIO_ROOT_USER and MINIO_ROOT_PASSWORD, " +
	"the shared files (AWS_PROFILE) and the role of the pod, task or machine"

func (i *s3Identity) retrieve(ctx context.Context) (aws.Credentials, error) {
	if i.chain == nil {
		loaded, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(i.client), config.WithDefaultRegion(i.region),
			config.WithEndpointCredentialOptions(func(o *endpointcreds.Options) { o.HTTPClient = i.client }))
		if err != nil {
			return aws.Credentials{}, err
		}
		i.chain = loaded.Credentials
	}
	return i.chain.Retrieve(ctx)
}

// Retrieve is RetrieveWithCredContext without a context.
func (i *s3Identity) Retrieve() (credentials.Value, error) { return i.RetrieveWithCredContext(nil) }

// IsExpired reports true, so that the SDK is asked for every request.
func (i *s3Identity) IsExpired() bool { return true }
