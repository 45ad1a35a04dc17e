package deepimage

import "container/list"

// lru remembers at most max values; the one that was not used for the longest time goes
// first. It is not safe for use by several goroutines.
type lru[K comparable, V any] struct {
	max   int
	order *list.List // of *pair, the latest in front
	byKey map[K]*list.Element
}

type pair[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](most int) *lru[K, V] {
	return &lru[K, V]{max: most, order: list.New(), byKey: map[K]*list.Element{}}
}

func (l *lru[K, V]) get(key K) (value V, found bool) {
	element, found := l.byKey[key]
	if !found {
		return value, false
	}
	l.order.MoveToFront(element)
	return l.pair(element).value, true
}

func (l *lru[K, V]) put(key K, value V) {
	if element, found := l.byKey[key]; found {
		l.order.MoveToFront(element)
		l.pair(element).value = value
		return
	}
	l.byKey[key] = l.order.PushFront(&pair[K, V]{key, value})
	if l.order.Len() > l.max {
		l.remove(l.pair(l.order.Back()).key)
	}
}

func (l *lru[K, V]) remove(key K) {
	if element, found := l.byKey[key]; found {
		l.order.Remove(element)
		delete(l.byKey, key)
	}
}

func (l *lru[K, V]) pair(element *list.Element) *pair[K, V] {
	held, _ := element.Value.(*pair[K, V]) // nothing else is ever put in
	return held
}
