package lru_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/lru"
)

func TestCache(t *testing.T) {
	t.Parallel()
	cache := lru.New[int, string](3)
	for n := range 3 {
		cache.Put(n, strconv.Itoa(n))
	}
	cache.Get(0)
	for _, put := range []struct {
		key            int
		value, evicted string
	}{
		{key: 1, value: "one"},
		{key: 3, value: "3", evicted: "2"},
		{key: 4, value: "4", evicted: "0"},
	} {
		if got, ok := cache.Put(put.key, put.value); got != put.evicted || ok != (put.evicted != "") {
			t.Errorf("Put(%d) = %q, %t, want %q, %t", put.key, got, ok, put.evicted, put.evicted != "")
		}
	}
	if got, want := slices.Collect(cache.Values()), []string{"4", "3", "one"}; !slices.Equal(got, want) {
		t.Errorf("values = %q, want %q", got, want)
	}
	for key, want := range map[int]string{0: "", 1: "one", 2: "", 3: "3", 4: "4"} {
		if got, ok := cache.Get(key); got != want || ok != (want != "") {
			t.Errorf("Get(%d) = %q, %t, want %q, %t", key, got, ok, want, want != "")
		}
	}
	if got, want := cache.Len(), 3; got != want {
		t.Errorf("Len() = %d, want %d", got, want)
	}
}
