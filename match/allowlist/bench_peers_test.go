//go:build bench

package allowlist

import (
	"database/sql"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/FastFilter/xorfilter"
	_ "github.com/mattn/go-sqlite3"
	bolt "go.etcd.io/bbolt"
)

// peerKey gives the keys that peers are asked for: as even and as random as a
// list's indexes, in order of i.
func peerKey(i, n int) (e entry) {
	binary.BigEndian.PutUint64(e[:], uint64(i)*(1<<63/uint64(n))*2+uint64(i)&1)
	binary.BigEndian.PutUint64(e[8:], uint64(i)*0x9E3779B97F4A7C15)
	copy(e[indexSize:], e[:indexSize])
	return e
}

// stranger is among none of the keys.
func stranger(i, n int) entry {
	e := peerKey(i, n)
	e[15] ^= 1
	return e
}

// benchPeers measures what else a list could be kept in, none of which proves
// what it says: each would need that beside.
func benchPeers(b *testing.B, f *figures, dir string, n int) {
	f.print("peers.entries", float64(n), "entries", 0)
	benchSQLite(b, f, filepath.Join(dir, "peer.sqlite"), n)
	benchBolt(b, f, filepath.Join(dir, "peer.bolt"), n)
	benchFuse(b, f, n)
}

// benchPeer prints what one peer came to.
func benchPeer(b *testing.B, f *figures, name, path string, n int, build time.Duration, mapped bool, find func(key entry) (bool, error)) {
	f.print(name+".build", build.Seconds(), "s", 0)
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	f.print(name+".size", float64(info.Size())/float64(n), "bytes/entry", 0)
	ask := func(times []time.Duration) []time.Duration {
		i := rand.IntN(n)
		key, listed := peerKey(i, n), rand.IntN(2) == 0
		if !listed {
			key = stranger(i, n)
		}
		begin := time.Now()
		found, err := find(key)
		times = append(times, time.Since(begin))
		if err != nil || found != listed {
			b.Fatalf("%s: found %v, listed %v, %v", name, found, listed, err)
		}
		return times
	}
	var times []time.Duration
	for range 50_000 {
		ask(nil)
	}
	for range 50_000 {
		times = ask(times)
	}
	f.print(name+".lookup.warm.p50", quantile(times, 0.5), "us", 0)
	f.print(name+".lookup.warm.p99", quantile(times, 0.99), "us", 0)
	if mapped {
		return // the kernel keeps mapped pages when it is asked to forget the file
	}
	times = nil
	for range 500 {
		dropFile(b, path)
		times = ask(times)
	}
	f.print(name+".lookup.cold.p99", quantile(times, 0.99), "us", 0)
}

func benchSQLite(b *testing.B, f *figures, path string, n int) {
	db, err := sql.Open("sqlite3", "file:"+path+"?_journal_mode=OFF&_synchronous=OFF&_cache_size=-2000")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	begin := time.Now()
	if _, err := db.Exec(`CREATE TABLE list (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID`); err != nil {
		b.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		b.Fatal(err)
	}
	insert, err := tx.Prepare(`INSERT INTO list VALUES (?, ?)`)
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		e := peerKey(i, n)
		if _, err := insert.Exec(e[:indexSize], e[indexSize:]); err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
	build := time.Since(begin)
	query, err := db.Prepare(`SELECT v FROM list WHERE k = ?`)
	if err != nil {
		b.Fatal(err)
	}
	defer query.Close()
	benchPeer(b, f, "sqlite", path, n, build, false, func(key entry) (bool, error) {
		var v []byte
		err := query.QueryRow(key[:indexSize]).Scan(&v)
		if err == sql.ErrNoRows {
			return false, nil
		}
		return err == nil, err
	})
}

func benchBolt(b *testing.B, f *figures, path string, n int) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true, NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	name := []byte("list")
	begin := time.Now()
	const batch = 100_000
	for from := 0; from < n; from += batch {
		err := db.Update(func(tx *bolt.Tx) error {
			list, err := tx.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			list.FillPercent = 1
			for i := from; i < min(from+batch, n); i++ {
				e := peerKey(i, n)
				if err := list.Put(e[:indexSize], e[indexSize:]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Sync(); err != nil {
		b.Fatal(err)
	}
	benchPeer(b, f, "bbolt", path, n, time.Since(begin), true, func(key entry) (found bool, err error) {
		err = db.View(func(tx *bolt.Tx) error {
			found = tx.Bucket(name).Get(key[:indexSize]) != nil
			return nil
		})
		return found, err
	})
}

// benchFuse measures a filter that answers "perhaps" for some strangers: each
// of those would be admitted.
func benchFuse(b *testing.B, f *figures, n int) {
	keys := make([]uint64, n)
	for i := range keys {
		keys[i] = rand.Uint64()
	}
	begin := time.Now()
	filter, err := xorfilter.PopulateBinaryFuse8(keys)
	if err != nil {
		b.Fatal(err)
	}
	f.print("fuse8.build", time.Since(begin).Seconds(), "s", 0)
	f.print("fuse8.size", float64(len(filter.Fingerprints)*8)/float64(n), "bits/entry", 0)
	const asked = 1_000_000
	admitted := 0
	begin = time.Now()
	for range asked { // among 2^64 numbers these are strangers
		if filter.Contains(rand.Uint64()) {
			admitted++
		}
	}
	f.print("fuse8.lookup", float64(time.Since(begin).Nanoseconds())/asked/1e3, "us", 0)
	f.print("fuse8.strangers_admitted", float64(admitted)/asked*100, "per cent", 0)
}
