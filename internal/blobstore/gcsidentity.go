package blobstore

import (
	"context"
	"fmt"
	"net/http"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

// gcsScope allows to read and write objects.
const gcsScope = "https://www.googleapis.com/auth/devstorage.read_write"

// gcsIdentity is who we are to Google: Application Default Credentials
// (https://docs.cloud.google.com/docs/authentication/application-default-credentials).
// They are looked for at the first use, since that may need the network.
type gcsIdentity struct {
	client *http.Client  // asks for tokens
	turn   chan struct{} // holds one value, taken by who looks at found
	found  *google.Credentials
}

func newGCSIdentity(transport *http.Transport) *gcsIdentity {
	identity := &gcsIdentity{client: &http.Client{Transport: transport, Timeout: identityTimeout}, turn: make(chan struct{}, 1)}
	identity.turn <- struct{}{}
	return identity
}

// credentials finds them, unless they are found already.
func (i *gcsIdentity) credentials(ctx context.Context) (*google.Credentials, error) {
	select {
	case <-i.turn:
		defer func() { i.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if i.found != nil {
		return i.found, nil
	}
	// The context stays with the credentials, for all requests for tokens.
	found, err := google.FindDefaultCredentials(context.WithValue(context.Background(), oauth2.HTTPClient, i.client), gcsScope)
	if err != nil {
		return nil, failedIdentity(err)
	}
	i.found = found
	return found, nil
}

// authorize adds a token to a request. A token is asked for once an hour.
func (i *gcsIdentity) authorize(request *http.Request) error {
	found, err := i.credentials(request.Context())
	if err != nil {
		return err
	}
	token, err := found.TokenSource.Token()
	if err != nil {
		return failedIdentity(err)
	}
	token.SetAuthHeader(request)
	return nil
}

// key returns the private key, if the identity is a service account.
func (i *gcsIdentity) key(ctx context.Context) (*gcsKey, error) {
	found, err := i.credentials(ctx)
	if err != nil {
		return nil, err
	}
	account, err := google.JWTConfigFromJSON(found.JSON, gcsScope)
	if err != nil || len(account.PrivateKey) == 0 {
		return nil, fmt.Errorf("%w: only the key of a service account can sign links", ErrUnsupported)
	}
	return newGCSKey(account.Email, account.PrivateKey)
}

func failedIdentity(err error) *identityError {
	return newIdentityError("Application Default Credentials", err)
}
