package deepimage_test

import (
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// theKey is the key of every test.
const theKey = "pl4nted-k3y-7c1fe9"

func startVendor(t testing.TB, processing fakevendortest.Processing) *fakevendortest.Vendor {
	t.Helper()
	vendor, err := fakevendortest.Start(t.Context(), fakevendortest.Options{APIKey: theKey, Processing: processing})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vendor.Close(); err != nil {
			t.Error(err)
		}
	})
	return vendor
}

// newClient returns a client of the API at url with a high rate limit.
func newClient(t testing.TB, url string, config deepimage.Config, choices ...deepimage.Option) *deepimage.Client {
	t.Helper()
	if !config.Enabled() {
		config.APIKey = secret.New(theKey)
	}
	if config.CallsPerSecond == 0 {
		config.CallsPerSecond = 10_000
	}
	config.URL = url
	client, err := deepimage.New(config, choices...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

// setUp is a vendor and its client.
func setUp(t testing.TB, config deepimage.Config) (*fakevendortest.Vendor, *deepimage.Client) {
	t.Helper()
	vendor := startVendor(t, fakevendortest.Processing{})
	return vendor, newClient(t, vendor.APIURL(), config)
}

func newJob(t testing.TB, vendor *fakevendortest.Vendor, options fakevendortest.JobOptions) fakevendortest.Job {
	t.Helper()
	options.Width, options.Height, options.Seed = 8, 8, 1
	job, err := vendor.NewJob(options)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// checkStatus compares all but the time.
func checkStatus(t *testing.T, got deepimage.JobStatus, err error, want deepimage.JobStatus) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if got.Asked.IsZero() || time.Since(got.Asked) > time.Minute {
		t.Errorf("asked = %v, want a time within the last minute", got.Asked)
	}
	got.Asked = time.Time{}
	if got != want {
		t.Errorf("status = %+v, want %+v", got, want)
	}
}
