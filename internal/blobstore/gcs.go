package blobstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	schemeGCS = "gs"

	gcsEndpoint = "https://storage.googleapis.com"
	gcsEmulator = "STORAGE_EMULATOR_HOST" // the variable of Google's own libraries: host:port, or a URL
)

// gcsAddress is the URL of a bucket of Google Cloud Storage, understood.
type gcsAddress struct {
	address
	endpoint *url.URL // nil leaves it to the environment, and then to Google
}

func parseGCS(written *url.URL) (opener, error) {
	parsed, err := parseAddress(written, "endpoint")
	if err != nil {
		return nil, err
	}
	a := gcsAddress{address: parsed}
	if text := parsed.parameters["endpoint"]; text != "" {
		a.endpoint, err = parseServer("the parameter endpoint of the bucket URL", text)
	}
	return a, err
}

// server says where requests go, and whether that is an emulator, which gets no token.
func (a gcsAddress) server() (endpoint *url.URL, emulated bool, err error) {
	if a.endpoint != nil {
		return a.endpoint, a.endpoint.Scheme == "http", nil
	}
	if host := os.Getenv(gcsEmulator); host != "" {
		if !strings.Contains(host, "://") {
			host = "http://" + host
		}
		emulator, err := url.Parse(host)
		if err != nil || emulator.Host == "" || emulator.User != nil {
			return nil, false, fmt.Errorf("blobstore: %s is neither host:port nor a URL", gcsEmulator)
		}
		return &url.URL{Scheme: emulator.Scheme, Host: emulator.Host}, true, nil
	}
	endpoint, err = url.Parse(gcsEndpoint)
	return endpoint, false, err
}

// open makes a client. It needs no network.
func (a gcsAddress) open(ctx context.Context, chosen options) (Bucket, error) {
	endpoint, emulated, err := a.server()
	if err != nil {
		return nil, err
	}
	transport := newTransport(chosen)
	service := &gcsService{
		client:   &http.Client{Transport: transport, CheckRedirect: noRedirect},
		endpoint: endpoint, bucket: a.bucket, limits: chosen.limits, name: "the storage service " + endpoint.Host,
	}
	if !emulated {
		service.identity = newGCSIdentity(transport)
	}
	return openRemoteBucket(ctx, service, a.address, chosen)
}

// gcsService is a bucket of Google Cloud Storage, by its JSON API
// (https://docs.cloud.google.com/storage/docs/json_api/v1/objects). Google's own
// client library would more than double the receiver: by 28 MB, and its compilation by minutes.
type gcsService struct {
	client   *http.Client
	identity *gcsIdentity // nil for an emulator
	endpoint *url.URL
	bucket   string
	limits   limits
	name     string // for errors
}

// maxAnswerBytes bounds what is read of an answer that is no object.
const maxAnswerBytes = 1 << 20

// describe returns an object's length and hash.
func (s *gcsService) describe(ctx context.Context, name string) (description, error) {
	answer, err := s.get(ctx, name, url.Values{"fields": {"size,metadata"}})
	if err != nil {
		return description{}, err
	}
	defer func() { _ = answer.Body.Close() }()
	var found struct {
		Size     int64             `json:"size,string"`
		Metadata map[string]string `json:"metadata"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, answer.Body, maxAnswerBytes)).Decode(&found); err != nil {
		return description{}, errors.Join(ctx.Err(), fmt.Errorf("%s described the object in a way that cannot be understood", s.name))
	}
	return description{bytes: found.Size, sha256: found.Metadata[metadataSHA256]}, nil
}

// open gets an object in one request. The service announces the length of what is stored as it is.
func (s *gcsService) open(ctx context.Context, name string) (*Object, error) {
	answer, err := s.get(ctx, name, url.Values{"alt": {"media"}})
	if err != nil {
		return nil, err
	}
	if answer.ContentLength < 0 {
		_ = answer.Body.Close()
		return nil, fmt.Errorf("%s does not announce the length of the object", s.name)
	}
	return &Object{ReadCloser: answer.Body, Bytes: answer.ContentLength}, nil
}

// remove deletes an object.
func (s *gcsService) remove(ctx context.Context, name string) error {
	answer, err := s.ask(ctx, http.MethodDelete, name, nil)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// get asks for an object or its metadata.
func (s *gcsService) get(ctx context.Context, name string, query url.Values) (*http.Response, error) {
	return s.ask(ctx, http.MethodGet, name, query)
}

// ask sends a request about one object.
func (s *gcsService) ask(ctx context.Context, method, name string, query url.Values) (*http.Response, error) {
	address := s.endpoint.JoinPath("storage/v1/b", s.bucket, "o").String() + "/" + url.PathEscape(name) + "?" + query.Encode()
	answer, err := s.send(ctx, func(ctx context.Context) (*http.Request, error) {
		return http.NewRequestWithContext(ctx, method, address, http.NoBody)
	})
	if refused, ok := errors.AsType[*gcsError](err); ok && refused.status == http.StatusNotFound {
		return nil, ErrNotFound
	}
	return answer, err
}

// sign makes a link with the private key of a service account.
func (s *gcsService) sign(ctx context.Context, name string, expiry time.Duration) (string, error) {
	if s.identity == nil {
		return "", fmt.Errorf("%w: an emulator has no key to sign links with", ErrUnsupported)
	}
	key, err := s.identity.key(ctx)
	if err != nil {
		return "", err
	}
	return key.sign(gcsLink{endpoint: s.endpoint, bucket: s.bucket, name: name, at: time.Now(), expiry: expiry})
}

func (s *gcsService) close() { s.client.CloseIdleConnections() }

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
