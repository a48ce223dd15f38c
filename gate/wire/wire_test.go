package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

const (
	testKiosk = "sgn-g12"
	testEpoch = "00112233445566778899aabbccddeeff"
)

func testKey(seed byte) (ed25519.PrivateKey, ed25519.PublicKey) {
	k := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	return k, k.Public().(ed25519.PublicKey)
}

// testEntries makes n chained entries from number first on.
func testEntries(t *testing.T, first uint64, n int, prev []byte) []Entry {
	t.Helper()
	var out []Entry
	for i := range n {
		body := []byte(`{"v":1,"entry":` + string(rune('a'+i)) + `}`)
		e := Entry{Number: first + uint64(i), Prev: prev, Hash: BodyHash(body), Body: body}
		next, err := ChainNext(testKiosk, testEpoch, e.Number, prev, e.Hash)
		if err != nil {
			t.Fatal(err)
		}
		out, prev = append(out, e), next
	}
	return out
}

func signedBatch(t *testing.T, key ed25519.PrivateKey) *Batch {
	t.Helper()
	b, err := NewBatch(testKiosk, testEpoch, ChainStart(), testEntries(t, 1, 3, ChainStart()))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Sign(key); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBatchTravels(t *testing.T) {
	key, pub := testKey(1)
	data, err := signedBatch(t, key).Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeBatch(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Verify(pub); err != nil {
		t.Fatal(err)
	}
	// A later batch need not begin the chain.
	next, err := NewBatch(testKiosk, testEpoch, got.Chain, testEntries(t, 4, 2, got.Chain))
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Sign(key); err != nil {
		t.Fatal(err)
	}
	if err := next.Verify(pub); err != nil {
		t.Fatal(err)
	}
}

// The chain's formula, computed by an independent program, so that both sides of
// a change in it are noticed.
func TestChainVector(t *testing.T) {
	got, err := ChainNext("k", "000102030405060708090a0b0c0d0e0f", 1, ChainStart(), BodyHash([]byte("{}")))
	if err != nil {
		t.Fatal(err)
	}
	const want = "0c8ee85adde758de2009965ee100160839672a91d137577ba12de9310f914e59"
	if hex.EncodeToString(got) != want {
		t.Fatalf("chain 1 = %x, want %s", got, want)
	}
}

func TestBatchRefused(t *testing.T) {
	key, pub := testKey(1)
	_, otherPub := testKey(2)
	resign := func(b *Batch) {
		if err := b.Sign(key); err != nil {
			t.Fatal(err)
		}
	}
	flip := func(b []byte) []byte { c := bytes.Clone(b); c[0] ^= 1; return c }
	for _, tc := range []struct {
		name   string
		change func(*Batch)
		pub    ed25519.PublicKey
		want   error
	}{
		{"body altered", func(b *Batch) { b.Entries[1].Body = []byte(`{"v":2}`) }, pub, ErrChain},
		{"body and hash altered", func(b *Batch) {
			b.Entries[1].Body = []byte(`{"v":2}`)
			b.Entries[1].Hash = BodyHash(b.Entries[1].Body)
		}, pub, ErrChain},
		{"last body and hash altered", func(b *Batch) {
			b.Entries[2].Body = []byte(`{"v":2}`)
			b.Entries[2].Hash = BodyHash(b.Entries[2].Body)
		}, pub, ErrChain},
		{"entries swapped", func(b *Batch) { b.Entries[0], b.Entries[1] = b.Entries[1], b.Entries[0] }, pub, ErrFormat},
		{"entry removed", func(b *Batch) { b.Entries = b.Entries[:2] }, pub, ErrFormat},
		{"entry removed, last lowered, unsigned", func(b *Batch) { b.Entries, b.Last = b.Entries[:2], 2 }, pub, ErrSignature},
		{"chain hash altered", func(b *Batch) { b.Chain = flip(b.Chain) }, pub, ErrSignature},
		{"chain hash altered and signed", func(b *Batch) { b.Chain = flip(b.Chain); resign(b) }, pub, ErrChain},
		{"begins elsewhere", func(b *Batch) { b.PrevChain = flip(b.PrevChain) }, pub, ErrChain},
		{"other kiosk", func(b *Batch) { b.Kiosk = "sgn-g13" }, pub, ErrSignature},
		{"other kiosk, signed", func(b *Batch) { b.Kiosk = "sgn-g13"; resign(b) }, pub, ErrChain},
		{"other epoch, signed", func(b *Batch) { b.Epoch = strings.Repeat("0", 32); resign(b) }, pub, ErrChain},
		{"bad name, signed", func(b *Batch) { b.Kiosk = "+"; resign(b) }, pub, ErrFormat},
		{"renumbered, signed", func(b *Batch) {
			b.First, b.Last = 11, 13
			for i := range b.Entries {
				b.Entries[i].Number += 10
			}
			resign(b)
		}, pub, ErrChain},
		{"numbers that wrap, signed", func(b *Batch) { b.First, b.Last = 1<<64-2, 0; resign(b) }, pub, ErrFormat},
		{"number zero, signed", func(b *Batch) { b.First, b.Last = 0, 2; resign(b) }, pub, ErrFormat},
		{"empty, signed", func(b *Batch) { b.Entries = nil; resign(b) }, pub, ErrFormat},
		{"other version", func(b *Batch) { b.V = 1 }, pub, ErrVersion},
		{"zero value", func(b *Batch) { *b = Batch{} }, pub, ErrVersion},
		{"no signature", func(b *Batch) { b.Sig = nil }, pub, ErrSignature},
		{"other key", func(*Batch) {}, otherPub, ErrSignature},
		{"no key", func(*Batch) {}, nil, ErrSignature},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := signedBatch(t, key)
			tc.change(b)
			if err := b.Verify(tc.pub); !errors.Is(err, tc.want) {
				t.Fatalf("Verify = %v, want %v", err, tc.want)
			}
		})
	}
}

func TestAckRefused(t *testing.T) {
	key, pub := testKey(3)
	make := func() *Ack {
		a := &Ack{V: AckVersion, Kiosk: testKiosk, Epoch: testEpoch, Number: 7, Chain: BodyHash([]byte("x"))}
		if err := a.Sign(key); err != nil {
			t.Fatal(err)
		}
		return a
	}
	if err := make().Verify(pub); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Ack){
		"number": func(a *Ack) { a.Number++ },
		"chain":  func(a *Ack) { a.Chain = BodyHash([]byte("y")) },
		"kiosk":  func(a *Ack) { a.Kiosk = "sgn-g13" },
		"epoch":  func(a *Ack) { a.Epoch = strings.Repeat("0", 32) },
		"sig":    func(a *Ack) { a.Sig[3] ^= 1 },
	} {
		a := make()
		change(a)
		if err := a.Verify(pub); !errors.Is(err, ErrSignature) {
			t.Errorf("%s altered: Verify = %v, want %v", name, err, ErrSignature)
		}
	}
	zero := make()
	zero.Number = 0
	if err := zero.Sign(key); err != nil {
		t.Fatal(err)
	}
	if err := zero.Verify(pub); !errors.Is(err, ErrChain) {
		t.Errorf("number 0 with a chain: %v, want %v", err, ErrChain)
	}
	zero.Chain = ChainStart()
	if err := zero.Sign(key); err != nil {
		t.Fatal(err)
	}
	if err := zero.Verify(pub); err != nil {
		t.Errorf("number 0 with the start: %v", err)
	}
}

// A signature over results must not serve as an acknowledgement of the same
// fields, nor the reverse, even under one key.
func TestSignaturesStayInTheirDomain(t *testing.T) {
	key, pub := testKey(4)
	entries := testEntries(t, 1, 1, ChainStart())
	b, err := NewBatch(testKiosk, testEpoch, ChainStart(), entries)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Sign(key); err != nil {
		t.Fatal(err)
	}
	a := &Ack{V: AckVersion, Kiosk: testKiosk, Epoch: testEpoch, Number: 1, Chain: b.Chain, Sig: b.Sig}
	if err := a.Verify(pub); !errors.Is(err, ErrSignature) {
		t.Fatalf("a batch's signature verified as acknowledgement: %v", err)
	}
	if err := a.Sign(key); err != nil {
		t.Fatal(err)
	}
	b.Sig = a.Sig
	if err := b.Verify(pub); !errors.Is(err, ErrSignature) {
		t.Fatalf("an acknowledgement's signature verified as batch: %v", err)
	}
	// Moving a byte between neighbouring fields changes what is signed.
	x := signedBytes("l", "ab", "c", []uint64{1}, nil)
	y := signedBytes("l", "a", "bc", []uint64{1}, nil)
	if bytes.Equal(x, y) {
		t.Fatal("two sets of fields share their signed bytes")
	}
}

func TestDecodersAreBounded(t *testing.T) {
	manyNotices := `{"v":1,"notices":[` + strings.TrimSuffix(strings.Repeat(`{},`, MaxNotices+1), ",") + `]}`
	dec := map[string]func([]byte) error{
		"batch":    func(b []byte) error { _, err := DecodeBatch(b); return err },
		"ack":      func(b []byte) error { _, err := DecodeAck(b); return err },
		"presence": func(b []byte) error { _, err := DecodePresence(b); return err },
		"status":   func(b []byte) error { _, err := DecodeStatus(b); return err },
		"record":   func(b []byte) error { _, err := DecodeRecord(b); return err },
		"question": func(b []byte) error { _, err := DecodeTimeQuestion(b); return err },
		"time":     func(b []byte) error { _, err := DecodeSignedTime(b); return err },
	}
	for name, d := range dec {
		for what, tc := range map[string]struct {
			in   string
			want error
		}{
			"empty":         {"", ErrFormat},
			"not JSON":      {"\x00\x01", ErrFormat},
			"trailing data": {`{"v":1}{"v":1}`, ErrFormat},
			"wrong type":    {`{"v":"1"}`, ErrFormat},
			"array":         {`[]`, ErrFormat},
			"null":          {`null`, ErrVersion},
			"no version":    {`{}`, ErrVersion},
			"new version":   {`{"v":9}`, ErrVersion},
			"too long":      {`{"v":1,"x":"` + strings.Repeat("a", MaxBatchBytes) + `"}`, ErrFormat},
			"too deep":      {strings.Repeat(`[`, 1000), ErrFormat},
		} {
			if err := d([]byte(tc.in)); !errors.Is(err, tc.want) {
				t.Errorf("%s, %s: %v, want %v", name, what, err, tc.want)
			}
		}
	}
	if _, err := DecodeStatus([]byte(manyNotices)); !errors.Is(err, ErrFormat) {
		t.Errorf("%d notices: %v", MaxNotices+1, err)
	}
}

// What a decoder complains about must not repeat what it read.
func TestDecodeErrorsHoldNoContent(t *testing.T) {
	_, err := DecodeRecord([]byte(`{"v":"PLANTED"}`))
	if err == nil || strings.Contains(err.Error(), "PLANTED") {
		t.Fatalf("error %v", err)
	}
}

// A batch that EncodedSize accepts always fits the bound of the message.
func TestEncodedSizeIsAnUpperBound(t *testing.T) {
	key, _ := testKey(1)
	for _, size := range []int{1, 2, 3, 400, 3_700, MaxBody} {
		var entries []Entry
		prev, room := ChainStart(), BatchRoom
		const start = MaxNumber - MaxBatchEntries // long numbers
		begin, _ := ChainNext(testKiosk, testEpoch, start, prev, prev)
		prev = begin
		for n := uint64(start + 1); len(entries) < MaxBatchEntries && room >= EncodedSize(size); n++ {
			body := bytes.Repeat([]byte{'x'}, size)
			e := Entry{Number: n, Prev: prev, Hash: BodyHash(body), Body: body}
			room -= EncodedSize(size)
			var err error
			if prev, err = ChainNext(testKiosk, testEpoch, n, prev, e.Hash); err != nil {
				t.Fatal(err)
			}
			entries = append(entries, e)
		}
		b, err := NewBatch(testKiosk, testEpoch, begin, entries)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Sign(key); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Encode(); err != nil {
			t.Errorf("bodies of %d bytes: %v", size, err)
		}
	}
}

func TestRecordParts(t *testing.T) {
	tx := strings.Repeat("ab", 16)
	good := Record{V: RecordVersion, Kind: KindDecision, Tx: tx, At: time.Unix(1, 0).UTC(), Decision: &Decision{Outcome: OutcomeAdmit}}
	body, err := good.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeRecord(body)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := json.Marshal(back)
	if !bytes.Equal(again, body) {
		t.Fatalf("record changed on its way:\n%s\n%s", body, again)
	}
	for name, r := range map[string]Record{
		"zero value":            {},
		"no transaction":        {V: 1, Kind: KindDecision, Decision: &Decision{Outcome: OutcomeAdmit}},
		"upper case tx":         {V: 1, Kind: KindDecision, Tx: strings.ToUpper(tx), Decision: &Decision{Outcome: OutcomeAdmit}},
		"no decision":           {V: 1, Kind: KindDecision, Tx: tx},
		"two parts":             {V: 1, Kind: KindDecision, Tx: tx, Decision: &Decision{Outcome: OutcomeAdmit}, Passage: &Passage{Result: PassagePassed}},
		"unknown kind":          {V: 1, Kind: "other", Tx: tx},
		"unknown outcome":       {V: 1, Kind: KindDecision, Tx: tx, Decision: &Decision{Outcome: "yes"}},
		"refer without reason":  {V: 1, Kind: KindDecision, Tx: tx, Decision: &Decision{Outcome: OutcomeRefer}},
		"unknown passage":       {V: 1, Kind: KindPassage, Tx: tx, Passage: &Passage{Result: "flew"}},
		"help with a decision":  {V: 1, Kind: KindHelp, Decision: &Decision{Outcome: OutcomeAdmit}},
		"resolution without it": {V: 1, Kind: KindResolution, Tx: tx},
		"unproven and no face":  {V: 1, Kind: KindDecision, Tx: tx, Decision: &Decision{Outcome: OutcomeAdmit, CloneUnproven: true}},
		"unproven and referred": {V: 1, Kind: KindDecision, Tx: tx, Decision: &Decision{Outcome: OutcomeRefer, Reasons: []uint32{6002}, CloneUnproven: true, FaceCheck: &FaceCheck{}}},
	} {
		if _, err := r.Encode(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTopics(t *testing.T) {
	k, kind, err := SplitTopic(Topic(testKiosk, TopicResults))
	if err != nil || k != testKiosk || kind != TopicResults {
		t.Fatalf("SplitTopic = %q %q %v", k, kind, err)
	}
	for _, bad := range []string{"", "gate/v1/", "gate/v1/k", "gate/v1//ack", "gate/v1/K/ack", "gate/v1/k/other", "gate/v1/k/ack/x", "gate/v2/k/ack", "gate/v1/+/ack", "gate/v1/" + strings.Repeat("k", MaxName+1) + "/ack"} {
		if _, _, err := SplitTopic(bad); err == nil {
			t.Errorf("topic %q accepted", bad)
		}
	}
}

// FuzzDecode: whatever arrives, decoders and verification end with an error or
// a message, never a panic, and nothing unsigned verifies.
func FuzzDecode(f *testing.F) {
	key, pub := testKey(1)
	_, other := testKey(2)
	b, err := NewBatch(testKiosk, testEpoch, ChainStart(), nil)
	if err == nil || b != nil {
		f.Fatal("a batch of nothing was made")
	}
	body := []byte("{}")
	b, err = NewBatch(testKiosk, testEpoch, ChainStart(), []Entry{{Number: 1, Prev: ChainStart(), Hash: BodyHash(body), Body: body}})
	if err != nil {
		f.Fatal(err)
	}
	if err := b.Sign(key); err != nil {
		f.Fatal(err)
	}
	seed, err := b.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte("{\"v\":2,\"first\":18446744073709551615,\"last\":0}\n\x00\x00\x00\x01x\x00\x00\x00\x01x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if b, err := DecodeBatch(data); err == nil {
			if b.Verify(other) == nil {
				t.Fatal("verified under a key that signed nothing")
			}
			_ = b.Verify(pub) // may be the seed
		}
		if a, err := DecodeAck(data); err == nil && a.Verify(other) == nil {
			t.Fatal("verified under a key that signed nothing")
		}
		if q, err := DecodeTimeQuestion(data); err == nil && q.Verify(other) == nil {
			t.Fatal("a question verified under a key that signed nothing")
		}
		if s, err := DecodeSignedTime(data); err == nil && s.Verify(other, &TimeQuestion{Kiosk: s.Kiosk, Nonce: s.Nonce}) == nil {
			t.Fatal("a time verified under a key that signed nothing")
		}
		_, _ = DecodeStatus(data)
		_, _ = DecodePresence(data)
		_, _ = DecodeRecord(data)
	})
}

// Numbers stay where every program counts exactly.
func TestNumbersAreBounded(t *testing.T) {
	for _, tc := range []struct {
		first uint64
		fits  bool
	}{{MaxNumber - 1, true}, {MaxNumber, false}, {1 << 63, false}} {
		var entries []Entry
		prev, chain := BodyHash([]byte("before")), BodyHash([]byte("before"))
		for n := tc.first; n < tc.first+2; n++ {
			e := Entry{Number: n, Prev: chain, Hash: BodyHash([]byte("{}")), Body: []byte("{}")}
			entries = append(entries, e)
			var err error
			if chain, err = ChainNext("k1", sealEpoch, n, chain, e.Hash); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := NewBatch("k1", sealEpoch, prev, entries); (err == nil) != tc.fits || err != nil && !errors.Is(err, ErrFormat) {
			t.Errorf("results from %d: %v", tc.first, err)
		}
	}
}
