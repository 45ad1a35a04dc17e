package blobstore

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// address is the parsed URL of a bucket in an object store.
type address struct {
	scheme     string
	bucket     string
	prefix     string // "" or a path that ends with a slash
	parameters map[string]string
}

const maxBucketBytes = 222 // of Google's dotted names; the others allow 63

// parseAddress parses scheme://bucket/prefix?name=value; known are the valid parameters.
func parseAddress(written *url.URL, known ...string) (address, error) {
	switch {
	case written.User != nil:
		return address{}, errors.New("blobstore: the bucket URL holds credentials; they belong into the environment or a file, never into the URL")
	case written.Opaque != "" || written.Fragment != "":
		return address{}, fmt.Errorf("blobstore: the bucket URL is not of the form %s://BUCKET/PREFIX", written.Scheme)
	case !isBucketName(written.Host):
		return address{}, fmt.Errorf("blobstore: the bucket URL names no bucket between %s:// and the next slash "+
			"(a server belongs into the parameter endpoint)", written.Scheme)
	}
	prefix := strings.Trim(written.Path, "/")
	if prefix != "" {
		if err := CheckKey(prefix); err != nil {
			return address{}, fmt.Errorf("blobstore: the prefix in the bucket URL cannot be used: %w", err)
		}
		prefix += "/"
	}
	parameters, err := parseParameters(written.RawQuery, known)
	if err != nil {
		return address{}, err
	}
	return address{scheme: written.Scheme, bucket: written.Host, prefix: prefix, parameters: parameters}, nil
}

func isBucketName(name string) bool {
	isOdd := func(r rune) bool {
		plain := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !plain && r != '.' && r != '_' && r != '-'
	}
	return name != "" && len(name) <= maxBucketBytes && !strings.ContainsFunc(name, isOdd)
}

func parseParameters(query string, known []string) (map[string]string, error) {
	given, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("blobstore: what follows the ? in the bucket URL cannot be read")
	}
	parameters := map[string]string{}
	for name, values := range given {
		switch {
		case !slices.Contains(known, name):
			return nil, fmt.Errorf("blobstore: the parameter %q of the bucket URL is not known; there are %s", name, strings.Join(known, ", "))
		case len(values) != 1 || values[0] == "":
			return nil, fmt.Errorf("blobstore: the parameter %s of the bucket URL must have one value", name)
		}
		parameters[name] = values[0]
	}
	return parameters, nil
}

// parseEndpoint parses the URL of a server, from the parameter or variable source.
func parseEndpoint(source, text string) (*url.URL, error) {
	endpoint, err := url.Parse(text)
	switch {
	case err != nil, endpoint.Scheme != "http" && endpoint.Scheme != "https", endpoint.Hostname() == "":
		return nil, fmt.Errorf("blobstore: %s must be the address of a server such as https://storage.example.com:9000", source)
	case endpoint.User != nil:
		return nil, fmt.Errorf("blobstore: %s holds credentials; they belong into the environment or a file", source)
	case endpoint.RawQuery != "" || endpoint.Fragment != "":
		return nil, fmt.Errorf("blobstore: %s must be an address alone, without query and fragment", source)
	}
	endpoint.Path = strings.TrimRight(endpoint.Path, "/")
	return endpoint, nil
}

// parseServer is parseEndpoint for a server alone.
func parseServer(source, text string) (*url.URL, error) {
	endpoint, err := parseEndpoint(source, text)
	if err == nil && endpoint.Path != "" {
		return nil, fmt.Errorf("blobstore: %s must be a server alone, without a path", source)
	}
	return endpoint, err
}

// name returns the name of key in the bucket.
func (a address) name(key string) (string, error) {
	if err := CheckKey(key); err != nil {
		return "", err
	}
	if name := a.prefix + key; len(name) <= maxKeyBytes {
		return name, nil
	}
	return "", fmt.Errorf("%w: with the bucket's prefix it has %d bytes, at most %d are allowed", ErrKey, len(a.prefix+key), maxKeyBytes)
}

// urlOf returns the URL of key.
func (a address) urlOf(key string) string {
	return (&url.URL{Scheme: a.scheme, Host: a.bucket, Path: "/" + a.prefix + key}).String()
}

// escapePath escapes all but letters, digits, - . _ ~ and the slash, for the path of a request.
func escapePath(name string) string {
	segments := strings.Split(name, "/")
	for i, segment := range segments {
		segments[i] = escapeAll(segment)
	}
	return strings.Join(segments, "/")
}

func escapeAll(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
