package blobstore

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// s3Chain looks for credentials where the tools of AWS look: in the environment, in
// the shared files, and at the machine, pod or task that this runs on. Unlike the
// library's own chain it says what it has tried, and never goes on without any.
type s3Chain struct {
	sources []s3Source
	found   credentials.Provider
}

type s3Source struct {
	credentials.Provider
	name   string
	isFile bool // that may be missing
}

func newS3Chain(client *http.Client) *s3Chain {
	environment := s3Source{Provider: &credentials.EnvAWS{}, name: "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"}
	minio := s3Source{Provider: &credentials.EnvMinio{}, name: "the environment (MINIO_ACCESS_KEY, MINIO_SECRET_KEY)"}
	files := s3Source{Provider: &credentials.FileAWSCredentials{}, name: "the shared files (AWS_PROFILE)", isFile: true}
	role := s3Source{Provider: &credentials.IAM{Client: client}, name: "the role of the machine, task or pod"}
	switch {
	case os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "": // is asked before files are, as AWS's own libraries do
		return &s3Chain{sources: []s3Source{environment, minio, role, files}}
	case strings.EqualFold(os.Getenv("AWS_EC2_METADATA_DISABLED"), "true") && !hasContainerRole():
		return &s3Chain{sources: []s3Source{environment, minio, files}}
	}
	return &s3Chain{sources: []s3Source{environment, minio, files, role}}
}

func hasContainerRole() bool {
	return os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != "" || os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI") != ""
}

// RetrieveWithCredContext asks one source after the other. The library lets one caller in at a time.
func (c *s3Chain) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	failed := &identityError{}
	for _, source := range c.sources {
		value, err := source.RetrieveWithCredContext(cc)
		if err == nil && value.AccessKeyID != "" && value.SecretAccessKey != "" {
			c.found = source.Provider
			return value, nil
		}
		if source.isFile && errors.Is(err, fs.ErrNotExist) {
			err = nil // that of a role is its token, and missed
		}
		failed.add(source.name, err)
	}
	return credentials.Value{}, failed
}

// Retrieve is the same without a context; nobody should call it.
func (c *s3Chain) Retrieve() (credentials.Value, error) { return c.RetrieveWithCredContext(nil) }

// IsExpired says whether the sources have to be asked, again or at first.
func (c *s3Chain) IsExpired() bool { return c.found == nil || c.found.IsExpired() }

// identityError says where credentials were looked for in vain, and why.
type identityError struct{ tried []string }

func (e *identityError) add(source string, err error) {
	if err == nil {
		e.tried = append(e.tried, source+" has none")
		return
	}
	e.tried = append(e.tried, source+": "+reason(err))
}

// Error lists the sources.
func (e *identityError) Error() string {
	return "there are no credentials: " + strings.Join(e.tried, "; ")
}

// NonRetriable tells Azure's library not to ask again at once.
func (e *identityError) NonRetriable() {}

// reason is an error without the address that was asked: a token can be in its query.
func reason(err error) string {
	if asked, ok := errors.AsType[*url.Error](err); ok {
		host := "its server"
		if address, err := url.Parse(asked.URL); err == nil {
			host = address.Host
		}
		return unreached(host, asked.Err).Error()
	}
	return said(fmt.Sprint(err))
}
