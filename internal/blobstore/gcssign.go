package blobstore

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// gcsKey signs links as a service account.
type gcsKey struct {
	email   string
	private *rsa.PrivateKey
}

var errKeyFormat = errors.New("the private key of the service account cannot be read")

func newGCSKey(email string, text []byte) (*gcsKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errKeyFormat
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, errKeyFormat
	}
	return &gcsKey{email: email, private: private}, nil
}

// gcsLink is what a link is for.
type gcsLink struct {
	endpoint     *url.URL
	bucket, name string
	at           time.Time
	expiry       time.Duration
}

// sign makes a link by the V4 process, which knows the same steps as Amazon's
// (https://docs.cloud.google.com/storage/docs/access-control/signing-urls-manually).
func (k *gcsKey) sign(l gcsLink) (string, error) {
	at := l.at.UTC()
	scope := at.Format("20060102") + "/auto/storage/goog4_request"
	query := url.Values{
		"X-Goog-Algorithm":     {"GOOG4-RSA-SHA256"},
		"X-Goog-Credential":    {k.email + "/" + scope},
		"X-Goog-Date":          {at.Format("20060102T150405Z")},
		"X-Goog-Expires":       {fmt.Sprint(int64(l.expiry / time.Second))},
		"X-Goog-SignedHeaders": {"host"},
	}
	path := "/" + escapeAll(l.bucket) + "/" + escapePath(l.name)
	written := strings.ReplaceAll(query.Encode(), "+", "%20")
	request := strings.Join([]string{"GET", path, written, "host:" + l.endpoint.Hostname(), "", "host", "UNSIGNED-PAYLOAD"}, "\n")
	text := strings.Join([]string{"GOOG4-RSA-SHA256", at.Format("20060102T150405Z"), scope, hexSum(request)}, "\n")
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, k.private, crypto.SHA256, sum[:])
	if err != nil {
		return "", errKeyFormat
	}
	return l.endpoint.Scheme + "://" + l.endpoint.Host + path + "?" + written + "&X-Goog-Signature=" + hex.EncodeToString(signature), nil
}

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
