package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
)

// expiredBatch has an entry whose body is gone.
func expiredBatch(t *testing.T) (b *Batch, data []byte) {
	t.Helper()
	key, _ := testKey(1)
	b = signedBatch(t, key)
	b.Entries[1].Body = nil
	data, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b, data
}

// The hashes that do not travel are those that were left away.
func TestBatchUnpacks(t *testing.T) {
	_, pub := testKey(1)
	want, data := expiredBatch(t)
	got, err := DecodeBatch(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Verify(pub); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("read %+v, want %+v", got, want)
	}
	if err := got.Verify(pub); err != nil {
		t.Fatalf("once more: %v", err)
	}
	again, err := got.Encode()
	if err != nil || !bytes.Equal(again, data) {
		t.Fatalf("written again: %v, the same %v", err, bytes.Equal(again, data))
	}
}

// A byte that is altered anywhere but in the blanks of JSON is refused, and so is every beginning.
func TestBatchAlteredOnItsWay(t *testing.T) {
	_, pub := testKey(1)
	_, data := expiredBatch(t)
	read := func(data []byte) error {
		b, err := DecodeBatch(data)
		if err != nil {
			return err
		}
		return b.Verify(pub)
	}
	for i := range data {
		if read(data[:i]) == nil {
			t.Errorf("the first %d bytes are taken", i)
		}
		for _, bit := range []byte{1, 0x80} {
			other := bytes.Clone(data)
			other[i] ^= bit
			if err := read(other); err == nil {
				t.Errorf("byte %d altered by %#x is taken", i, bit)
			}
		}
	}
	if err := read(append(bytes.Clone(data), 0)); !errors.Is(err, ErrFormat) {
		t.Errorf("with a byte behind: %v, want %v", err, ErrFormat)
	}
}

func TestBatchOfOtherForm(t *testing.T) {
	head := func(first, last uint64, v int) []byte {
		out, err := json.Marshal(&Batch{V: v, Kiosk: testKiosk, Epoch: testEpoch, First: first, Last: last})
		if err != nil {
			t.Fatal(err)
		}
		return append(out, '\n')
	}
	entry := func(n uint32, body string) []byte { return append(binary.BigEndian.AppendUint32(nil, n), body...) }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, tc := range map[string]struct {
		data []byte
		want error
	}{
		"of version 1":            {[]byte(fmt.Sprintf(`{"v":1,"kiosk":%q,"entries":[{"n":1}]}`, testKiosk)), ErrVersion},
		"more entries than read":  {join(head(1, MaxBatchEntries+1, BatchVersion), bytes.Repeat(entry(1, "x"), MaxBatchEntries+1)), ErrFormat},
		"a sum that wraps":        {join(head(1, 1<<64-1, BatchVersion), entry(1, "x")), ErrFormat},
		"last before first":       {join(head(2, 1, BatchVersion), entry(1, "x")), ErrFormat},
		"a body beyond the bound": {join(head(1, 1, BatchVersion), entry(MaxBody+1, string(make([]byte, MaxBody+1)))), ErrFormat},
		"a length of 4 GiB":       {join(head(1, 1, BatchVersion), entry(1<<32-1, "x")), ErrFormat},
		"neither body nor hash":   {join(head(1, 1, BatchVersion), entry(0, "x")), ErrFormat},
		"an entry too few":        {join(head(1, 2, BatchVersion), entry(1, "x")), ErrFormat},
		"no line":                 {bytes.TrimSpace(head(1, 1, BatchVersion)), ErrFormat},
	} {
		if _, err := DecodeBatch(tc.data); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	for name, b := range map[string]*Batch{
		"neither body nor hash": {V: BatchVersion, Entries: []Entry{{Number: 1}}},
		"too much":              {V: BatchVersion, Entries: []Entry{{Number: 1, Body: make([]byte, MaxBatchBytes)}}},
	} {
		if _, err := b.Encode(); !errors.Is(err, ErrFormat) {
			t.Errorf("%s is written: %v", name, err)
		}
	}
}
