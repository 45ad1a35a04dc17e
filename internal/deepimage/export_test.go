package deepimage

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

const (
	MaxAnswerBytes = maxAnswerBytes
	MaxSources     = maxSources
	MaxMessage     = maxMessage
	Patience       = patience
	FirstPause     = firstPause
	LongestPause   = longestPause
	KeyPause       = keyPause
	MaxLimitPause  = maxLimitPause
)

func (c Config) WithDefaults() Config { return c.withDefaults() }

// ReadResult, ReadSubmission and ReadDeletion read an answer that nobody gave.
func (c *Client) ReadResult(status int, header http.Header, body []byte, job string) (Verdict, *Error) {
	return c.readResult(answerOf(status, header, body), job)
}

func (c *Client) ReadSubmission(status int, header http.Header, body []byte) (string, *Error) {
	return c.readSubmission(answerOf(status, header, body))
}

func (c *Client) ReadDeletion(status int, header http.Header, body []byte, job string) *Error {
	return c.readDeletion(answerOf(status, header, body), job)
}

func answerOf(status int, header http.Header, body []byte) answer {
	return answer{status: status, header: header, body: body[:min(len(body), maxAnswerBytes)], oversized: len(body) > maxAnswerBytes}
}

func (c *Client) Words(said string, most int) string { return c.words(said, most) }

// Pause is the pause of a pace.
type Pause struct{ pause pause }

func (p *Pause) Begin(now time.Time) (round int, refusal *Error) { return p.pause.begin(now) }

func (p *Pause) Learn(round int, failed *Error, now time.Time) { p.pause.learn(round, failed, now) }

// Pace bounds calls.
type Pace struct{ pace *pace }

func NewPace(concurrency int, perSecond float64) Pace {
	return Pace{newPace(concurrency, rate.NewLimiter(rate.Limit(perSecond), 1))}
}

func (p Pace) Do(ctx context.Context, call func() *Error) *Error { return p.pace.do(ctx, call) }

// Quota is what sources may cost.
type Quota struct{ quota *quota }

func NewQuota(perMinute int) Quota { return Quota{newQuota(perMinute)} }

func (q Quota) Admit(addr netip.Addr, now time.Time) *Error { return q.quota.admit(addr, now) }

func (q Quota) Charge(addr netip.Addr, now time.Time) { q.quota.charge(addr, now) }

func (q Quota) Sources() int { return len(q.quota.sources.byKey) }

// Cache remembers verdicts.
type Cache struct{ cache *cache }

func NewCache(config Config) Cache { return Cache{newCache(config)} }

func (c Cache) Get(job string, now time.Time) (Verdict, bool) { return c.cache.get(job, now) }

func (c Cache) Put(verdict Verdict) { c.cache.put(verdict) }

// LRU is the store behind the cache and the quota.
type LRU struct{ lru *lru[int, string] }

func NewLRU(most int) LRU { return LRU{newLRU[int, string](most)} }

func (l LRU) Get(key int) (string, bool) { return l.lru.get(key) }

func (l LRU) Put(key int, value string) { l.lru.put(key, value) }

func (l LRU) Len() int { return max(l.lru.order.Len(), len(l.lru.byKey)) }
