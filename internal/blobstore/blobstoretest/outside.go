package blobstoretest

import (
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"
)

// Outside returns the URL of a new, empty place in the bucket of a server that an
// environment variable names, such as .ci/with-object-stores starts. Where no script
// started one, the test is skipped; in CI that is a failure.
func Outside(t *testing.T, variable string) string {
	t.Helper()
	text := os.Getenv(variable)
	switch {
	case text == "" && os.Getenv("CI") != "":
		t.Fatalf("%s is not set: CI has to run the tests under .ci/with-object-stores", variable)
	case text == "":
		t.Skipf("%s is not set, so this is NOT TESTED here: .ci/with-object-stores starts the server and runs a command", variable)
	}
	address, err := url.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	address.Path = "/" + strings.ToLower(rand.Text())
	address.RawQuery = address.Query().Encode() // escaped, so that tests can find an address in it
	return address.String()
}
