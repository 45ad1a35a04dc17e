package blobstore_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/blobstore/blobstoretest"
)

// These tests change the environment, so they are not parallel.

// withoutIdentity takes away what the environment says about who we are.
func withoutIdentity(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
		"MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
		"AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_ACCOUNT", "STORAGE_EMULATOR_HOST",
		"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("AWS_CONFIG_FILE", home+"/config")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", home+"/credentials")
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestS3Credentials(t *testing.T) {
	const secret = "hunter2-hunter2"
	for name, set := range map[string]func(t *testing.T){
		"environment": func(t *testing.T) {
			t.Setenv("AWS_ACCESS_KEY_ID", "ME")
			t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
		},
		"environment of MinIO": func(t *testing.T) {
			t.Setenv("MINIO_ROOT_USER", "ME")
			t.Setenv("MINIO_ROOT_PASSWORD", secret)
		},
		"profile of the shared files": func(t *testing.T) {
			t.Setenv("AWS_PROFILE", "images")
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", writeFile(t, "credentials",
				"[default]\naws_access_key_id=NOT\naws_secret_access_key=x\n[images]\naws_access_key_id=ME\naws_secret_access_key="+secret+"\n"))
		},
		"profile that assumes a role": func(t *testing.T) {
			t.Setenv("AWS_PROFILE", "images")
			t.Setenv("AWS_CONFIG_FILE", writeFile(t, "config",
				"[profile images]\nrole_arn=arn:aws:iam::123456789012:role/images\nsource_profile=base\n"+
					"[profile base]\naws_access_key_id=BASE\naws_secret_access_key="+secret+"\n"))
			t.Setenv("AWS_ENDPOINT_URL_STS", serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if action := r.FormValue("Action"); action != "AssumeRole" || !strings.Contains(r.Header.Get("Authorization"), "Credential=BASE/") {
					t.Errorf("action %q, Authorization %q, want AssumeRole signed with the key of the source profile", action, r.Header.Get("Authorization"))
				}
				fmt.Fprintf(w, `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ME</AccessKeyId><SecretAccessKey>%s</SecretAccessKey>`+
					`<SessionToken>session</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
					secret, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
			})))
		},
		"task": func(t *testing.T) {
			t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "token")
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "token" {
					w.WriteHeader(http.StatusForbidden)
				}
				fmt.Fprintf(w, `{"AccessKeyId":"ME","SecretAccessKey":%q,"Token":"session","Expiration":%q}`, secret, time.Now().Add(time.Hour).Format(time.RFC3339))
			})))
		},
	} {
		t.Run(name, func(t *testing.T) {
			withoutIdentity(t)
			set(t)
			var seen []string
			bucket := openRemote(t, behind(t, s3Here(t), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				seen = append(seen, r.Header.Get("Authorization"))
				next.ServeHTTP(w, r)
			}))
			if err := put(t, bucket, "key", "content"); err != nil {
				t.Fatal(err)
			}
			if len(seen) != 1 || !strings.Contains(seen[0], "Credential=ME/") || !strings.Contains(seen[0], "/us-east-1/s3/") {
				t.Errorf("Authorization = %q, want one of ME in us-east-1", seen)
			}
		})
	}
}

func TestS3RegionOfTheEnvironment(t *testing.T) {
	withoutIdentity(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "ME")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
	t.Setenv("AWS_DEFAULT_REGION", "eu-west-9")
	var seen string
	address := behind(t, s3Here(t), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		seen = r.Header.Get("Authorization")
		next.ServeHTTP(w, r)
	})
	if err := put(t, openRemote(t, strings.Replace(address, "region=us-east-1&", "", 1)), "key", "content"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(seen, "/eu-west-9/s3/") {
		t.Errorf("Authorization = %q, want the region eu-west-9", seen)
	}
}

func TestNoS3Credentials(t *testing.T) {
	for name, row := range map[string]struct {
		set  func(t *testing.T)
		want []string // names and codes that lead to the cause
	}{
		"none": {func(*testing.T) {}, []string{"AWS_ACCESS_KEY_ID", "AWS_PROFILE"}},
		"half": {func(t *testing.T) { t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2") }, []string{"AWS_ACCESS_KEY_ID"}},
		"a profile that is none": {func(t *testing.T) {
			t.Setenv("AWS_PROFILE", "images")
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", writeFile(t, "credentials", "[default]\naws_access_key_id=NOT\naws_secret_access_key=hunter2\n"))
		}, []string{"images"}},
		"a task without a role": {func(t *testing.T) {
			t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hunter2")
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", serve(t, http.NotFoundHandler())+"/?hunter2")
		}, []string{"404"}},
		"a task whose server is away": {func(t *testing.T) {
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/?hunter2")
		}, []string{"127.0.0.1:1", "refused"}},
		"a pod without its token": {func(t *testing.T) {
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", t.TempDir()+"/token")
			t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/images")
		}, []string{"no such file"}},
	} {
		t.Run(name, func(t *testing.T) {
			withoutIdentity(t)
			row.set(t)
			err := put(t, openRemote(t, s3Here(t)), "key", "content")
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("put = %v, want an error without the secret", err)
			}
			for _, want := range row.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error = %q, want %q in it", err, want)
				}
			}
		})
	}
}

func TestWrongCredentials(t *testing.T) {
	const secret = "aHVudGVyMi1odW50ZXIyLWh1bnRlcjItaHVudGVyMg=="
	for name, row := range map[string]struct{ address, variable string }{
		"S3":                             {s3Variable, "AWS_SECRET_ACCESS_KEY"},
		"Azure":                          {azureVariable, "AZURE_STORAGE_KEY"},
		"Azure, shared access signature": {azureVariable, "AZURE_STORAGE_SAS_TOKEN"},
	} {
		t.Run(name, func(t *testing.T) {
			address := blobstoretest.Outside(t, row.address)
			value := secret
			if row.variable == "AZURE_STORAGE_SAS_TOKEN" {
				t.Setenv("AZURE_STORAGE_KEY", "")
				value = "?sv=2025-01-05&ss=b&srt=sco&sp=rw&se=2099-01-01T00:00:00Z&sig=" + secret
			}
			t.Setenv(row.variable, value)
			bucket := openRemote(t, address)
			_, openErr := bucket.Open(t.Context(), "key")
			for _, err := range []error{put(t, bucket, "key", "content"), bucket.Check(t.Context()), openErr} {
				if err == nil || errors.Is(err, blobstore.ErrNotFound) || !strings.Contains(err.Error(), "403") {
					t.Errorf("it is no refusal: %v", err)
				}
				for cause := err; cause != nil; cause = errors.Unwrap(cause) {
					if strings.Contains(cause.Error(), strings.TrimRight(secret, "=")) {
						t.Errorf("error = %v, want it without the secret", cause)
					}
				}
			}
		})
	}
}

// With a shared access signature a bucket can be used, but makes no links.
func TestAzureSharedAccessSignature(t *testing.T) {
	makeContainer(t)
	address, signature := blobstoretest.Outside(t, azureVariable), accountSignature(t)
	t.Setenv("AZURE_STORAGE_KEY", "")
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", "?"+signature)
	bucket := openRemote(t, address)
	if err := errors.Join(bucket.Check(t.Context()), put(t, bucket, "a/key", "content")); err != nil {
		t.Fatal(err)
	}
	holds(t, bucket, "a/key", "content")
	if link, err := bucket.SignedURL(t.Context(), "a/key", time.Hour); !errors.Is(err, blobstore.ErrUnsupported) {
		t.Errorf("signed %q: %v", link, err)
	}
	// The connection is refused: the error could show the address, and with it the signature.
	err := put(t, openRemote(t, elsewhere(t, address, "http://127.0.0.1:1"), blobstore.WithoutRetries()), "key", "content")
	if err == nil || strings.Contains(err.Error(), "sig=") {
		t.Errorf("put: %v", err)
	}
}

func TestAzureIdentityRefuses(t *testing.T) {
	tests := []struct{ name, address, key, signature, says string }{
		{"no account", "azblob://c", "", "", "AZURE_STORAGE_ACCOUNT"},
		{"a key that is none", "azblob://c?account=a", "hunter2!", "", "AZURE_STORAGE_KEY"},
		{"an unknown key", "azblob://c?endpoint=http://127.0.0.1:1/x", "aHVudGVyMg==", "", "AZURE_STORAGE_KEY"},
		{"a signature that is none", "azblob://c?account=a", "", "hunter2", "AZURE_STORAGE_SAS_TOKEN"},
		{"tokens over http", "azblob://c?account=a&endpoint=http://127.0.0.1:1/a", "", "", "over http"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			withoutIdentity(t)
			t.Setenv("AZURE_STORAGE_KEY", test.key)
			t.Setenv("AZURE_STORAGE_SAS_TOKEN", test.signature)
			bucket, err := blobstore.Open(t.Context(), test.address, blobstore.WithSpoolFolder(t.TempDir()))
			if err == nil {
				_ = bucket.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("says %v, want %q in it", err, test.says)
			}
		})
	}
}

// google is a stand-in for Google over TLS: it returns a token to the owner of the key
// of a service account, and takes objects from who has that token.
type google struct {
	*httptest.Server
	refuse bool // no tokens
	tokens int  // that were given
	stored string
}

func startGoogle(t *testing.T) *google {
	t.Helper()
	g := &google{}
	g.Server = httptest.NewTLSServer(http.HandlerFunc(g.serve))
	t.Cleanup(g.Close)
	return g
}

func (g *google) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	switch {
	case err != nil:
		panic(http.ErrAbortHandler)
	case r.URL.Path == "/token" && g.refuse:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`)
	case r.URL.Path == "/token":
		g.tokens++
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"hunter2-token","token_type":"Bearer","expires_in":3600}`)
	case r.Header.Get("Authorization") != "Bearer hunter2-token":
		w.WriteHeader(http.StatusUnauthorized)
	case r.URL.Query().Get("ifGenerationMatch") != "0":
		w.WriteHeader(http.StatusNotFound)
	default:
		g.stored = string(body)
		_, _ = io.WriteString(w, "{}")
	}
}

// identify makes us a service account whose tokens come from g.
func (g *google) identify(t *testing.T) {
	t.Helper()
	_, key := newKey(t)
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "me@p.iam.gserviceaccount.com", "private_key": string(key), "token_uri": g.URL + "/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", writeFile(t, "account.json", string(account)))
}

func (g *google) bucket(t *testing.T) blobstore.Bucket {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.Certificate().Raw}))
	return openRemote(t, "gs://images/2026?endpoint="+g.URL, blobstore.WithRoots(roots))
}

func TestGoogleServiceAccount(t *testing.T) {
	withoutIdentity(t)
	g := startGoogle(t)
	g.identify(t)
	bucket := g.bucket(t)
	for range 2 {
		if err := put(t, bucket, "key", "content"); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(g.stored, `"name":"2026/key"`) || !strings.Contains(g.stored, "\r\n\r\ncontent\r\n--") || g.tokens != 1 {
		t.Errorf("stored = %q with %d tokens, want 2026/key with its content and 1 token", g.stored, g.tokens)
	}
	link, err := bucket.SignedURL(t.Context(), "key", time.Hour)
	if err != nil || !strings.HasPrefix(link, g.URL+"/images/2026/key?X-Goog-Algorithm=") {
		t.Errorf("signed %q: %v", link, err)
	}
}

func TestGoogleRefusesATokenOrConnection(t *testing.T) {
	withoutIdentity(t)
	g := startGoogle(t)
	g.identify(t)
	g.refuse = true
	err := put(t, g.bucket(t), "key", "content")
	if err == nil || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("put: %v", err)
	}
	bucket := g.bucket(t)
	g.Close()
	if err := put(t, bucket, "key", "content"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("put: %v", err)
	}
}

func TestGoogleCredentialsThatAreNone(t *testing.T) {
	withoutIdentity(t)
	g := startGoogle(t)
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", writeFile(t, "account.json", `{"type":"service_account","private_key":"hunter2"}`))
	for name, err := range map[string]error{"put": put(t, g.bucket(t), "key", "content"), "check": g.bucket(t).Check(t.Context())} {
		if err == nil || !strings.Contains(err.Error(), "Application Default Credentials") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
