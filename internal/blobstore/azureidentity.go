package blobstore

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
)

// azureIdentity is who we are to Azure: one of the three is set.
type azureIdentity struct {
	key    *blob.SharedKeyCredential
	query  string // a shared access signature
	tokens azcore.TokenCredential
}

// newAzureIdentity looks where the tools of Azure look: for the account's key, for a
// shared access signature, and for what DefaultAzureCredential finds (variables of a
// service principal, workload identity, managed identity, a person's login).
func newAzureIdentity(account string, endpoint *url.URL, transport *http.Transport) (azureIdentity, error) {
	if text := os.Getenv("AZURE_STORAGE_KEY"); text != "" {
		key, err := blob.NewSharedKeyCredential(account, text)
		if err != nil || account == "" {
			return azureIdentity{}, errors.New("blobstore: AZURE_STORAGE_KEY is no key of a storage account, in base64, or the account is not named")
		}
		return azureIdentity{key: key}, nil
	}
	if text := os.Getenv("AZURE_STORAGE_SAS_TOKEN"); text != "" {
		query := strings.TrimPrefix(text, "?")
		if parsed, err := url.ParseQuery(query); err != nil || !parsed.Has("sig") {
			return azureIdentity{}, errors.New("blobstore: AZURE_STORAGE_SAS_TOKEN is no shared access signature")
		}
		return azureIdentity{query: query}, nil
	}
	if endpoint.Scheme != "https" {
		return azureIdentity{}, errors.New("blobstore: over http only AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN can be used, and neither is set")
	}
	client := &http.Client{Transport: transport, Timeout: identityTimeout}
	found, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: client},
	})
	if err != nil {
		return azureIdentity{}, errors.New("blobstore: the credentials for Azure cannot be used: " + quoted(err.Error()))
	}
	return azureIdentity{tokens: quietTokens{found}}, nil
}

func (i azureIdentity) client(address string, options *blockblob.ClientOptions) (*blockblob.Client, error) {
	switch {
	case i.key != nil:
		return blockblob.NewClientWithSharedKeyCredential(address, i.key, options)
	case i.query != "":
		return blockblob.NewClientWithNoCredential(address+"?"+i.query, options)
	default:
		return blockblob.NewClient(address, i.tokens, options)
	}
}

// quietTokens keeps what a server of identities says from being shown as it is.
type quietTokens struct{ azcore.TokenCredential }

// GetToken returns a token. The library keeps it until it expires.
func (q quietTokens) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := q.TokenCredential.GetToken(ctx, options)
	if err == nil {
		return token, nil
	}
	if ctx.Err() != nil {
		return token, ctx.Err()
	}
	return token, newIdentityError("DefaultAzureCredential", err)
}
