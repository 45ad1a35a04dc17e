package kafka_test

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/brokertest"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

func TestMain(m *testing.M) { handlertest.Main(m) }

const (
	topic       = "deep-image"
	partitions  = 3
	maxBytes    = 64 << 10
	administers = "administrator"
)

// cluster is a stand-in that speaks the protocol, and keeps its topics in files.
type cluster struct {
	folder  string
	port    int // 0 before the first start, then the same after every one
	proxy   *brokertest.TCPProxy
	options []kfake.Opt
	*kfake.Cluster
}

// newCluster starts a cluster of one broker, which is all that a stand-in needs to be restarted as a whole.
func newCluster(t *testing.T, options ...kfake.Opt) *cluster {
	t.Helper()
	made := &cluster{folder: filepath.Join(t.TempDir(), "kafka"), proxy: brokertest.NewTCPProxy(), options: options}
	made.start(t)
	t.Cleanup(func() { made.Close() })
	return made
}

func (c *cluster) start(t *testing.T) {
	t.Helper()
	listen := func(network, address string) (net.Listener, error) {
		listener, err := net.Listen(network, address)
		if err != nil {
			return nil, err
		}
		return c.proxy.Wrap(listener), nil
	}
	options := append([]kfake.Opt{
		kfake.NumBrokers(1), kfake.Ports(c.port), kfake.ListenFn(listen), kfake.DataDir(c.folder), kfake.SyncWrites(),
		kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "user", brokertest.Password),
		kfake.Superuser("SCRAM-SHA-256", administers, brokertest.Password),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": strconv.Itoa(maxBytes)}),
	}, c.options...)
	var err error
	c.Cluster, err = kfake.NewCluster(options...)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(c.ListenAddrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	if c.port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) stop(*testing.T) { c.Close() }

func (c *cluster) address() string {
	return fmt.Sprintf("kafka://user:%s@%s/%s?sasl=scram-sha-512&max_message_bytes=1000000", brokertest.Password, strings.Join(c.ListenAddrs(), ","), topic)
}

// bodies reads the topic from its beginning to the end that it has now.
func (c *cluster) bodies(t *testing.T) [][]byte {
	t.Helper()
	end := int64(0)
	for partition := range int32(partitions) {
		end += c.PartitionInfo(topic, partition).HighWatermark
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SASL(scram.Auth{User: administers, Pass: brokertest.Password}.AsSha256Mechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var bodies [][]byte
	for int64(len(bodies)) < end {
		fetched := client.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			t.Fatal(err)
		}
		fetched.EachRecord(func(record *kgo.Record) {
			bodies = append(bodies, record.Value)
			if len(record.Headers) != 1 || record.Headers[0].Key != "content-type" || string(record.Headers[0].Value) != "application/cloudevents+json" {
				t.Errorf("headers = %v, want the content type alone", record.Headers)
			}
			if !strings.Contains(string(record.Value), fmt.Sprintf(`"subject":%q`, record.Key)) && !strings.Contains(string(record.Key), "\uFFFE") {
				t.Errorf("key = %q of %s, want its subject", record.Key, record.Value)
			}
		})
	}
	return bodies
}

func newSubject(c *cluster) brokertest.Subject {
	return brokertest.Subject{URL: c.address(), Proxy: c.proxy, Bodies: c.bodies, TooLarge: maxBytes}
}
