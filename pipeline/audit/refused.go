package audit

import (
	"net/netip"
	"sync"
	"time"
)

// Limits of the entries about refused calls, so that whoever is refused cannot flood the trail.
const (
	refusedEvery = time.Minute // an entry of an address
	maxAddresses = 10_000      // that are told apart; the others share one
)

// Refusals chooses which refused calls are written: of each address the first, and then one a minute
// with their number. The zero value is ready to use. It is safe for concurrent use.
type Refusals struct {
	mu        sync.Mutex
	addresses map[string]*refusals
	swept     time.Time // when addresses were forgotten
}

type refusals struct {
	told  time.Time
	count uint64 // since then
}

// Count counts a refused call of an address. It returns how many calls an entry stands for, or 0 if
// none is due. Addresses of IPv6 count by their network of 64 bits.
func (r *Refusals) Count(address string, now time.Time) uint64 {
	if ip, err := netip.ParseAddr(address); err == nil && ip.Is6() && !ip.Is4In6() {
		if network, err := ip.Prefix(64); err == nil {
			address = network.String()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.addresses == nil {
		r.addresses = map[string]*refusals{}
	}
	if r.addresses[address] == nil {
		if len(r.addresses) >= maxAddresses && now.Sub(r.swept) >= refusedEvery { // not for every call: it takes a while
			r.swept = now
			for known, of := range r.addresses {
				if now.Sub(of.told) >= refusedEvery {
					delete(r.addresses, known)
				}
			}
		}
		if len(r.addresses) >= maxAddresses {
			address = "others"
		}
		if r.addresses[address] == nil {
			r.addresses[address] = &refusals{}
		}
	}
	of := r.addresses[address]
	of.count++
	if now.Sub(of.told) < refusedEvery {
		return 0
	}
	n := of.count
	of.told, of.count = now, 0
	return n
}
