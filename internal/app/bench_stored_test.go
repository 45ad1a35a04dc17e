//go:build unix

package app_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/testkit"
)

// storedWorkers is the default concurrency of downloads.
const storedWorkers = 8

// BenchmarkStored measures events per second from the first callback until the last image is durable. The row "plain" is the upper
// bound: a program that downloads the same images with the same syncs, and has no database. The figures of a row include the image
// host and the sender.
func BenchmarkStored(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		host, folder, client := imageHost(b), b.TempDir(), newClient(b)
		var numbers atomic.Int64
		measureStored(b, func() {
			var group sync.WaitGroup
			for range storedWorkers {
				group.Go(func() {
					for n := numbers.Add(1); n <= int64(b.N); n = numbers.Add(1) {
						if err := storePlainly(client, folder, host, n); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
		})
	})
	for _, kind := range []database.Kind{database.SQLite, database.Postgres} {
		b.Run(kind.String(), func(b *testing.B) {
			host := imageHost(b)
			r := start(b, storedConfiguration(b, kind))
			measureStored(b, func() {
				sendImages(b, r.webhook(), host)
				for r.doneSoFar(b) < int64(b.N) {
					<-time.After(50 * time.Millisecond) // counting takes time too
				}
			})
		})
	}
}

// BenchmarkLatency measures the time from a callback until its image has its name, one callback at a time.
func BenchmarkLatency(b *testing.B) {
	for _, kind := range []database.Kind{database.SQLite, database.Postgres} {
		b.Run(kind.String(), func(b *testing.B) {
			host := imageHost(b)
			c := storedConfiguration(b, kind)
			r := start(b, c)
			images := filepath.Join(c.DataDir, "images")
			s := newSender(b, r.webhook())
			defer s.close()
			times := make([]time.Duration, 0, b.N)
			b.ResetTimer()
			for n := range int64(b.N) {
				begun := time.Now()
				day := begun.UTC().Format(time.DateOnly)
				if err := s.post(imageCallback(nil, host, n)); err != nil {
					b.Fatal(err)
				}
				awaitFile(b, filepath.Join(images, day, imageJob(n), "result.png"))
				times = append(times, time.Since(begun))
				<-time.After(time.Duration(n%7) * 3 * time.Millisecond)
			}
			b.StopTimer()
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// awaitFile waits until there is a file at path.
func awaitFile(b *testing.B, path string) {
	deadline := time.Now().Add(testkit.Timeout)
	for time.Now().Before(deadline) {
		if _, err := os.Stat(path); err == nil {
			return
		}
		<-time.After(100 * time.Microsecond)
	}
	b.Fatalf("files lack %s, want it", path)
}

func storedConfiguration(b *testing.B, kind database.Kind) config.Config {
	c := configuration(b, databasetest.NewPlace(b, kind))
	c.Inbox.MaxBacklog = 1 << 40
	return c
}

// imageHost serves the same image of 2 KB under every path, and returns its URL.
func imageHost(b *testing.B) string {
	b.Helper()
	picture := image.NewNRGBA(image.Rect(0, 0, 26, 26))
	for i := range picture.Pix {
		picture.Pix[i] = byte(i * i * 7 / 3) // does not compress well
	}
	var content bytes.Buffer
	if err := png.Encode(&content, picture); err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(content.Bytes())
	}))
	b.Cleanup(server.Close)
	return server.URL
}

// measureStored reports the rate and the CPU time of b.N events.
func measureStored(b *testing.B, store func()) {
	b.ReportAllocs()
	before := processTime(b)
	b.ResetTimer()
	store()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric((processTime(b)-before).Seconds()*1000/float64(b.N), "cpu-ms/event")
}

// processTime is the CPU time that this process has used.
func processTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func imageJob(n int64) string { return fmt.Sprintf("%08x-634e-11ee-a699-0242ac14000b", n) }

func imageCallback(to []byte, host string, n int64) []byte {
	return fmt.Appendf(to, `{"job":"%s","data":{"width":26,"height":26},"result_url":"%s/%d/result.png","results":null}`, imageJob(n), host, n)
}

// sendImages posts b.N callbacks over 64 connections.
func sendImages(b *testing.B, webhook, host string) {
	var numbers atomic.Int64
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			s := newSender(b, webhook)
			defer s.close()
			for n := numbers.Add(1); n <= int64(b.N); n = numbers.Add(1) {
				if err := s.post(imageCallback(nil, host, n)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// storePlainly downloads one image and writes its manifest, as durably as the receiver does.
func storePlainly(client *http.Client, folder, host string, n int64) (err error) {
	url := fmt.Sprintf("%s/%d/result.png", host, n)
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	day := filepath.Join(folder, time.Now().UTC().Format(time.DateOnly))
	job := filepath.Join(day, imageJob(n))
	if err := os.MkdirAll(job, 0o750); err != nil {
		return err
	}
	sum := sha256.New()
	if err := writePlainly(folder, filepath.Join(job, "result.png"), io.TeeReader(response.Body, sum)); err != nil {
		return err
	}
	manifest, err := json.Marshal(map[string]any{"job": imageJob(n), "url": url, "sha256": fmt.Sprintf("%x", sum.Sum(nil))})
	if err != nil {
		return err
	}
	if err := writePlainly(folder, filepath.Join(job, "manifest.json"), bytes.NewReader(manifest)); err != nil {
		return err
	}
	return errors.Join(syncPlainly(job), syncPlainly(day))
}

func writePlainly(folder, path string, content io.Reader) error {
	file, err := os.CreateTemp(folder, "temporary")
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func syncPlainly(folder string) error {
	file, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
