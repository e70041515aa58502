package ledger

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// ErrUnknown is returned for an account that does not exist.
var ErrUnknown = errors.New("unknown account")

// Entry is one movement on an account.
type Entry struct {
	Account string
	Amount  int
	Note    string
}

// Ledger keeps entries in the order of their arrival.
type Ledger struct {
	entries []Entry
	limits  map[string]int
}

// New makes an empty ledger with the given limits.
func New(limits map[string]int) *Ledger {
	copied := make(map[string]int, len(limits))
	for name, limit := range limits {
		copied[strings.ToLower(name)] = limit
	}
	return &Ledger{limits: copied}
}

// Add appends an entry after checking the limit of its account.
func (l *Ledger) Add(entry Entry) error {
	name := strings.ToLower(entry.Account)
	limit, found := l.limits[name]
	if !found {
		return fmt.Errorf("add %q: %w", entry.Account, ErrUnknown)
	}
	if l.balance(name)+entry.Amount > limit {
		return fmt.Errorf("add %q: limit of %d exceeded", entry.Account, limit)
	}
	l.entries = append(l.entries, entry)
	return nil
}

func (l *Ledger) balance(name string) int {
	sum := 0
	for _, entry := range l.entries {
		if strings.EqualFold(entry.Account, name) {
			sum += entry.Amount
		}
	}
	return sum
}

// Largest returns the n largest entries, the largest first.
func (l *Ledger) Largest(n int) []Entry {
	sorted := make([]Entry, len(l.entries))
	copy(sorted, l.entries)
	sort.Slice(sorted, func(i, j int) bool {
		return sorted[i].Amount > sorted[j].Amount
	})
	if n > len(sorted) {
		n = len(sorted)
	}
	return sorted[:n]
}

// Report writes one line per account, in alphabetical order.
func (l *Ledger) Report() string {
	names := make([]string, 0, len(l.limits))
	for name := range l.limits {
		names = append(names, name)
	}
	sort.Strings(names)
	var out strings.Builder
	for _, name := range names {
		fmt.Fprintf(&out, "%-12s %8d of %8d\n", name, l.balance(name), l.limits[name])
	}
	return out.String()
}

// Search finds entries whose note holds every word.
func (l *Ledger) Search(words ...string) []Entry {
	var found []Entry
	for _, entry := range l.entries {
		note := strings.ToLower(entry.Note)
		matches := true
		for _, word := range words {
			if !strings.Contains(note, strings.ToLower(word)) {
				matches = false
				break
			}
		}
		if matches {
			found = append(found, entry)
		}
	}
	return found
}
