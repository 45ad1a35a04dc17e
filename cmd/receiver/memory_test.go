package main_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore/blobstoretest"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/dustin/go-humanize"
)

// imageMiB is the size of each image; "make memory" measures with 200.
var imageMiB = flag.Int64("image-mib", 24, "size of each image of TestMemoryStaysFlat, in MiB")

const (
	manyImages = 8        // the default number of simultaneous downloads
	maxPeak    = 96 << 20 // bytes of memory
	reportPeak = "VmHWM:" // the line of /proc/PID/status with the peak
)

// Eight simultaneous large results take no more memory than small ones.
func TestMemoryStaysFlat(t *testing.T) { memoryStaysFlat(t, "file://") }

// The same with a real S3 server.
func TestMemoryStaysFlatOverS3(t *testing.T) {
	bucket := blobstoretest.Outside(t, "BLOBSTORE_TEST_S3_URL")
	memoryStaysFlat(t, "s3://images/", "RECEIVER_DOWNLOAD_BUCKET_URL="+bucket,
		"AWS_ACCESS_KEY_ID="+os.Getenv("AWS_ACCESS_KEY_ID"), "AWS_SECRET_ACCESS_KEY="+os.Getenv("AWS_SECRET_ACCESS_KEY"))
}

// memoryStaysFlat runs a receiver with these variables. The URLs of its images start with where.
func memoryStaysFlat(t *testing.T, where string, env ...string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux reports the peak of a process")
	}
	vendor := startVendor(t, fakevendortest.Options{})
	folder := t.TempDir()
	p := serve(t, folder, env...)
	var stored int64
	var jobs []fakevendortest.Job
	for n := range manyImages {
		job, err := vendor.NewJob(fakevendortest.JobOptions{Bytes: *imageMiB << 20, Seed: uint64(n + 1)})
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, job)
		stored += job.Images[0].Bytes
	}
	began := time.Now()
	for _, delivery := range vendor.Deliver(t.Context(), p.webhook(), fakevendortest.Plan{Concurrency: manyImages}, jobs...) {
		if delivery.Err != nil {
			t.Fatal(delivery.Err)
		}
	}
	waitUntilIdle(t, folder, p)
	peak := peakOf(t, p.command.Process.Pid)
	t.Logf("%d images, %s in all, in %s: peak of memory %s", manyImages, humanize.IBytes(uint64(stored)),
		time.Since(began).Round(time.Millisecond), humanize.IBytes(peak))
	if peak > maxPeak {
		t.Errorf("peak = %s, want at most %s", humanize.IBytes(peak), humanize.IBytes(maxPeak))
	}
	query := fmt.Sprintf("SELECT count(*) FROM artifacts WHERE position = 0 AND url LIKE '%s%%'", where)
	if work := reader(t, folder, "work.db"); count(t, work, query) != manyImages {
		t.Errorf("stored images = %d, want %d", count(t, work, query), manyImages)
	}
}

// peakOf returns the peak of a process's resident memory, in bytes.
func peakOf(t *testing.T, pid int) uint64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, reportPeak); ok {
			peak, err := humanize.ParseBytes(strings.Replace(strings.TrimSpace(rest), "kB", "KiB", 1))
			if err != nil {
				t.Fatal(err)
			}
			return peak
		}
	}
	t.Fatalf("status has no line %s, want the peak", reportPeak)
	return 0
}
