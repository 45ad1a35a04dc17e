package blobstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"
)

const (
	schemeS3 = "s3"

	amazonHost    = "s3.amazonaws.com" // the library finds the host of the region from it
	defaultRegion = "us-east-1"        // what services outside of AWS take when they have no regions
)

// s3Address is the URL of an S3 bucket, understood.
type s3Address struct {
	address
	endpoint *url.URL
	region   string // "" leaves it to the environment, and then to the service
	lookup   minio.BucketLookupType
}

func parseS3(written *url.URL) (opener, error) {
	parsed, err := parseAddress(written, "endpoint", "region", "path_style")
	if err != nil {
		return nil, err
	}
	if err := s3utils.CheckValidBucketName(parsed.bucket); err != nil {
		return nil, fmt.Errorf("blobstore: the bucket URL names a bucket that S3 does not allow: %w", err)
	}
	a := s3Address{address: parsed, region: parsed.parameters["region"]}
	text := cmp.Or(parsed.parameters["endpoint"], "https://"+amazonHost)
	if a.endpoint, err = parseServer("the parameter endpoint of the bucket URL", text); err != nil {
		return nil, err
	}
	a.lookup, err = lookupOf(parsed.parameters["path_style"])
	return a, err
}

// lookupOf says where requests name the bucket. By default that is the
// path, but for AWS the host.
func lookupOf(pathStyle string) (minio.BucketLookupType, error) {
	if pathStyle == "" {
		return minio.BucketLookupAuto, nil
	}
	inPath, err := strconv.ParseBool(pathStyle)
	switch {
	case err != nil:
		return 0, errors.New("blobstore: the parameter path_style of the bucket URL must be true or false")
	case inPath:
		return minio.BucketLookupPath, nil
	default:
		return minio.BucketLookupDNS, nil
	}
}

// open makes a client. It needs no network.
func (a s3Address) open(ctx context.Context, chosen options) (Bucket, error) {
	transport := newTransport(chosen)
	region := cmp.Or(a.region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
	if region == "" && a.endpoint.Host != amazonHost {
		region = defaultRegion
	}
	client, err := minio.NewCore(a.endpoint.Host, &minio.Options{
		Creds:        credentials.New(newS3Identity(region, chosen.roots)),
		Secure:       a.endpoint.Scheme == "https",
		Transport:    transport,
		Region:       region,
		BucketLookup: a.lookup,
		MaxRetries:   chosen.limits.retries,
	})
	if err != nil {
		return nil, fmt.Errorf("blobstore: %w", err)
	}
	service := &s3Service{client: client, transport: transport, bucket: a.bucket, limits: chosen.limits, name: "the S3 service " + a.endpoint.Host}
	return openRemoteBucket(ctx, service, a.address, chosen)
}

// s3Service is a bucket of a service that speaks S3. It has to know conditional
// writes (If-None-Match: * on PutObject), as AWS does since 2024.
type s3Service struct {
	client    *minio.Core
	transport *http.Transport
	bucket    string
	limits    limits
	name      string // for errors
}

// describe asks for an object's header.
func (s *s3Service) describe(ctx context.Context, name string) (description, error) {
	info, err := s.client.StatObject(ctx, s.bucket, name, minio.StatObjectOptions{})
	if err != nil {
		return description{}, s.explain(ctx, err)
	}
	return description{bytes: info.Size, sha256: info.Metadata.Get(s3MetadataPrefix + metadataSHA256)}, nil
}

// open gets an object.
func (s *s3Service) open(ctx context.Context, name string) (*Object, error) {
	body, info, _, err := s.client.GetObject(ctx, s.bucket, name, minio.GetObjectOptions{})
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	return &Object{ReadCloser: body, Bytes: info.Size}, nil
}

// remove deletes an object.
func (s *s3Service) remove(ctx context.Context, name string) error {
	if err := s.client.RemoveObject(ctx, s.bucket, name, minio.RemoveObjectOptions{}); err != nil {
		return s.explain(ctx, err)
	}
	return nil
}

// sign makes a link with the key that the bucket is opened with. One of a role ends with the role's session.
func (s *s3Service) sign(ctx context.Context, name string, expiry time.Duration) (string, error) {
	link, err := s.client.PresignedGetObject(ctx, s.bucket, name, expiry, nil)
	if err != nil {
		return "", s.explain(ctx, err)
	}
	return link.String(), nil
}

func (s *s3Service) close() { s.transport.CloseIdleConnections() }
