package blobstore_test

import (
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
)

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"file:///var/lib/images", "file://./images",
		"s3://bucket", "s3://bucket/", "s3://bucket/a/prefix/", "s3://my.bucket-1/%C3%BC?region=eu-central-1",
		"s3://bucket/optional/prefix?endpoint=https://host:9000&region=eu-central-1&path_style=true",
		"s3://bucket?endpoint=http://10.0.0.7:9000/", "s3://bucket?endpoint=http://[::1]:9000&path_style=false",
		"gs://bucket_with.dots/prefix", "gs://bucket?endpoint=http://localhost:4443",
		"azblob://container/prefix?account=images1", "azblob://container?endpoint=http://127.0.0.1:10000/devstoreaccount1",
	} {
		if err := blobstore.CheckURL(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestCheckURLRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, address, says string }{
		{"another scheme", "ftp://hunter2@host/x", "azblob://"},
		{"credentials", "s3://key:hunter2@bucket", "credentials"},
		{"a user", "gs://hunter2@bucket", "credentials"},
		{"credentials of Azure", "azblob://account:hunter2@container", "credentials"},
		{"no bucket", "s3:///prefix", "no bucket"},
		{"an opaque bucket", "s3:bucket", "not of the form"},
		{"a fragment", "s3://bucket/#hunter2", "not of the form"},
		{"a port", "s3://bucket:9000/x", "endpoint"},
		{"a bucket of odd letters", "gs://b%20ucket", "not a URL"},
		{"a bucket that S3 refuses", "s3://ab", "S3 does not allow"},
		{"a prefix that leads up", "s3://bucket/a/../b", "prefix"},
		{"a prefix with an empty part", "s3://bucket/a//b", "prefix"},
		{"a reserved prefix", "s3://bucket/.spool", "prefix"},
		{"an unknown parameter", "s3://bucket?regoin=hunter2", `"regoin"`},
		{"a parameter of another service", "gs://bucket?region=hunter2", `"region"`},
		{"a secret as a parameter", "azblob://container?account=a&key=hunter2", `"key"`},
		{"a parameter twice", "s3://bucket?region=a&region=hunter2", "one value"},
		{"a parameter without a value", "s3://bucket?region=", "one value"},
		{"a broken query", "s3://bucket?region=%zzhunter2", "cannot be read"},
		{"an endpoint without a scheme", "s3://bucket?endpoint=hunter2:9000", "address of a server"},
		{"an endpoint of another scheme", "s3://bucket?endpoint=ftp://hunter2", "address of a server"},
		{"an endpoint with credentials", "s3://bucket?endpoint=https://key:hunter2@host", "credentials"},
		{"an endpoint with a query", "s3://bucket?endpoint=https://host/%3Fhunter2%3D1", "address alone"},
		{"an endpoint with a path", "s3://bucket?endpoint=https://host/hunter2", "without a path"},
		{"a path style that is none", "s3://bucket?path_style=hunter2", "true or false"},
		{"an account that leads elsewhere", "azblob://container?account=hunter2.example.com/", "storage account"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := blobstore.CheckURL(test.address)
			if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("says %v, want %q in it", err, test.says)
			}
		})
	}
}

func TestURLsOfObjects(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"s3://bucket": "s3://bucket/a/k%23ey",
		"s3://bucket/?endpoint=http://127.0.0.1:1":    "s3://bucket/a/k%23ey",
		"s3://bucket/p%20q/":                          "s3://bucket/p%20q/a/k%23ey",
		"gs://bucket/x/y?endpoint=http://127.0.0.1:1": "gs://bucket/x/y/a/k%23ey",
	} {
		if got := openRemote(t, address).URL("a/k#ey"); got != want {
			t.Errorf("in %s it is %s, want %s", address, got, want)
		}
	}
}
