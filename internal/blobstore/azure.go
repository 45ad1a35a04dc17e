package blobstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
)

const (
	schemeAzure = "azblob"

	azureDomain = ".blob.core.windows.net" // of the public cloud; the others need an endpoint
)

// azureAddress is the URL of a container of Azure Blob Storage, understood.
type azureAddress struct {
	address
	account  string   // "" leaves it to the environment
	endpoint *url.URL // nil is made of the account
}

func parseAzure(written *url.URL) (opener, error) {
	parsed, err := parseAddress(written, "account", "endpoint")
	if err != nil {
		return nil, err
	}
	a := azureAddress{address: parsed, account: parsed.parameters["account"]}
	if a.account != "" && !isAccount(a.account) {
		return nil, errors.New("blobstore: the parameter account of the bucket URL is not the name of a storage account")
	}
	if text := parsed.parameters["endpoint"]; text != "" {
		a.endpoint, err = parseEndpoint("the parameter endpoint of the bucket URL", text)
	}
	return a, err
}

// isAccount lets nothing through that would lead to another host.
func isAccount(name string) bool {
	isOdd := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }
	return name != "" && !strings.ContainsFunc(name, isOdd)
}

// open makes a client. It needs no network.
func (a azureAddress) open(ctx context.Context, chosen options) (Bucket, error) {
	account := cmp.Or(a.account, os.Getenv("AZURE_STORAGE_ACCOUNT"))
	endpoint := a.endpoint
	if endpoint == nil {
		if !isAccount(account) {
			return nil, errors.New("blobstore: the storage account is named neither by the parameter account of the bucket URL nor, " +
				"as it should be, by AZURE_STORAGE_ACCOUNT")
		}
		endpoint = &url.URL{Scheme: "https", Host: account + azureDomain}
	}
	transport := newTransport(chosen)
	identity, err := newAzureIdentity(account, endpoint, transport)
	if err != nil {
		return nil, err
	}
	service := &azureService{
		client:   &http.Client{Transport: transport, CheckRedirect: noRedirect},
		identity: identity, endpoint: endpoint, container: a.bucket, limits: chosen.limits, name: "the blob service " + endpoint.Host,
	}
	return openRemoteBucket(ctx, service, a.address, chosen)
}

// azureService is a container of Azure Blob Storage. Package container of the
// vendor's library is not used: it links Apache Arrow.
type azureService struct {
	client    *http.Client
	identity  azureIdentity
	endpoint  *url.URL
	container string
	limits    limits
	name      string // for errors
}

// blob returns the client of one name.
func (s *azureService) blob(name string) (*blockblob.Client, error) {
	address := s.endpoint.JoinPath(s.container).String() + "/" + escapePath(name)
	options := &blockblob.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: s.client,
		Retry:     policy.RetryOptions{MaxRetries: azureRetries(s.limits.retries), RetryDelay: firstRetry, MaxRetryDelay: maxRetryDelay},
	}}
	client, err := s.identity.client(address, options)
	if err != nil {
		return nil, fmt.Errorf("%s has no address that can be asked", s.name)
	}
	return client, nil
}

const maxRetryDelay = 5 * time.Second

// azureRetries is how often a request is sent after the first time; the library
// takes 0 for its own default.
func azureRetries(sends int) int32 {
	if sends <= 1 {
		return -1
	}
	return int32(sends) - 1
}

// describe asks for a blob's properties.
func (s *azureService) describe(ctx context.Context, name string) (description, error) {
	client, err := s.blob(name)
	if err != nil {
		return description{}, err
	}
	found, err := client.GetProperties(ctx, nil)
	if err != nil {
		return description{}, s.explain(ctx, err)
	}
	described := description{bytes: valueOf(found.ContentLength)}
	for key, value := range found.Metadata {
		if strings.EqualFold(key, metadataSHA256) { // as a header, it has lost its case
			described.sha256 = valueOf(value)
		}
	}
	return described, nil
}

// open gets a blob.
func (s *azureService) open(ctx context.Context, name string) (*Object, error) {
	client, err := s.blob(name)
	if err != nil {
		return nil, err
	}
	found, err := client.DownloadStream(ctx, &blob.DownloadStreamOptions{})
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	return &Object{ReadCloser: found.Body, Bytes: valueOf(found.ContentLength)}, nil
}

// remove deletes a blob.
func (s *azureService) remove(ctx context.Context, name string) error {
	client, err := s.blob(name)
	if err != nil {
		return err
	}
	if _, err := client.Delete(ctx, nil); err != nil {
		return s.explain(ctx, err)
	}
	return nil
}

// sign makes a link with the account's key.
func (s *azureService) sign(_ context.Context, name string, expiry time.Duration) (string, error) {
	if s.identity.key == nil {
		return "", fmt.Errorf("%w: only the account's key (AZURE_STORAGE_KEY) can sign links", ErrUnsupported)
	}
	client, err := s.blob(name)
	if err != nil {
		return "", err
	}
	link, err := client.BlobClient().GetSASURL(sas.BlobPermissions{Read: true}, time.Now().Add(expiry), nil)
	if err != nil {
		return "", fmt.Errorf("%s: no link can be made", s.name)
	}
	return link, nil
}

func (s *azureService) close() { s.client.CloseIdleConnections() }

// valueOf is what p points to, or nothing.
func valueOf[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}
