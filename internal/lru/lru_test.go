package lru_test

import (
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
	cache.Put(1, "one")
	cache.Put(3, "3") // evicts 2
	cache.Put(4, "4") // evicts 0
	for key, want := range map[int]string{0: "", 1: "one", 2: "", 3: "3", 4: "4"} {
		if got, ok := cache.Get(key); got != want || ok != (want != "") {
			t.Errorf("Get(%d) = %q, %t, want %q, %t", key, got, ok, want, want != "")
		}
	}
	if got, want := cache.Len(), 3; got != want {
		t.Errorf("Len() = %d, want %d", got, want)
	}
}
