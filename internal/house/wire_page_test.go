package house

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gateagent/gate/wire"
)

// section cuts the part of a page under a heading, up to the next heading.
func section(page, heading string) string {
	_, rest, _ := strings.Cut(page, "\n"+heading+"\n")
	if i := strings.Index(rest, "\n#"); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

// fieldRow finds the first cell of a table's row, where it holds code.
var (
	fieldRow = regexp.MustCompile("(?m)^\\| (`[^|]+`) \\|")
	codeSpan = regexp.MustCompile("`([^`]+)`")
)

// pageFields are the fields that a section's table describes.
func pageFields(text string) []string {
	var out []string
	for _, row := range fieldRow.FindAllStringSubmatch(text, -1) {
		for _, f := range codeSpan.FindAllStringSubmatch(row[1], -1) {
			out = append(out, f[1])
		}
	}
	slices.Sort(out)
	return out
}

func jsonFields(typ reflect.Type) []string {
	var out []string
	for _, f := range reflect.VisibleFields(typ) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && name != "-" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// The tables of docs/wire.md have the fields of the Go types, all of them and
// no other.
func TestWirePage(t *testing.T) {
	page := readText(t, "docs/wire.md")
	for heading, typ := range map[string]reflect.Type{
		"## Batch": reflect.TypeFor[wire.Batch](), "### Entry": reflect.TypeFor[wire.Entry](), "## Ack": reflect.TypeFor[wire.Ack](),
		"## Presence": reflect.TypeFor[wire.Presence](), "## Status": reflect.TypeFor[wire.Status](),
		"## TimeQuestion": reflect.TypeFor[wire.TimeQuestion](), "## SignedTime": reflect.TypeFor[wire.SignedTime](),
		"## Command": reflect.TypeFor[wire.Command](), "### Target": reflect.TypeFor[wire.Target](),
		"### UplinkStatus": reflect.TypeFor[wire.UplinkStatus](),
		"### ClockStatus":  reflect.TypeFor[wire.ClockStatus](),
		"### ListStatus":   reflect.TypeFor[wire.ListStatus](), "### Notice": reflect.TypeFor[wire.Notice](),
		"## Request": reflect.TypeFor[wire.Request](), "## Bundle": reflect.TypeFor[wire.Bundle](),
	} {
		if got, want := pageFields(section(page, heading)), jsonFields(typ); !slices.Equal(got, want) {
			t.Errorf("%s: %q on the page, %q in Go", heading, got, want)
		}
	}
	made := "\n## A\n\n| field | meaning |\n| --- | --- |\n| `a`, `b` | `c` |\n\n## B\n\n| `d` | x |\n"
	if got := pageFields(section(made, "## A")); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("a made-up table has the fields %q", got)
	}
	for _, kind := range []string{wire.TopicResults, wire.TopicAck, wire.TopicPresence, wire.TopicStatus, wire.TopicTimeQuestion, wire.TopicTime, wire.TopicCommand} {
		if !strings.Contains(section(page, "## Topics"), "`"+wire.Topic("KIOSK", kind)+"`") {
			t.Errorf("the topic of %s is not on the page", kind)
		}
	}
	for what, n := range map[string]int{
		"%d results of one kiosk": wire.MaxBatchEntries, "%d KiB at most when encoded": wire.MaxBatchBytes >> 10,
		"a body %d KiB": wire.MaxBody >> 10, "at most %d |": wire.MaxNotices,
	} {
		if want := fmt.Sprintf(what, n); !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// The example of docs/wire.md is what the code computes, and the layout of
// what is signed is as the page says.
func TestWireExample(t *testing.T) {
	page := section(readText(t, "docs/wire.md"), "## Example")
	const kiosk, epoch = "sgn-g12", "00000000000000000000000000000001"
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	body := []byte(`{"v":1}`)
	hash := wire.BodyHash(body)
	b := ok(wire.NewBatch(kiosk, epoch, wire.ChainStart(), []wire.Entry{{Number: 1, Prev: wire.ChainStart(), Hash: hash, Body: body}}))(t)
	a := wire.Ack{V: wire.AckVersion, Kiosk: kiosk, Epoch: epoch, Number: 1, Chain: b.Chain}
	if err := b.Sign(key); err != nil {
		t.Fatal(err)
	}
	if err := a.Sign(key); err != nil {
		t.Fatal(err)
	}
	for what, value := range map[string][]byte{
		"public key": key.Public().(ed25519.PublicKey), "hash(1)": hash, "chain(1)": b.Chain,
		"signature of the batch 1 to 1": b.Sig, "signature of the ack of 1": a.Sig,
	} {
		if row := fmt.Sprintf("| %s | `%x` |", what, value); !strings.Contains(page, row) {
			t.Errorf("the page lacks %s", row)
		}
	}
	one := binary.BigEndian.AppendUint64(nil, 1)
	public := key.Public().(ed25519.PublicKey)
	if !ed25519.Verify(public, layout([]byte("results/v1"), []byte(kiosk), []byte(epoch), one, one, b.Chain), b.Sig) {
		t.Error("the batch is not signed over what the page says")
	}
	if !ed25519.Verify(public, layout([]byte("ack/v1"), []byte(kiosk), []byte(epoch), one, b.Chain), a.Sig) {
		t.Error("the acknowledgement is not signed over what the page says")
	}
	q := ok(wire.NewTimeQuestion(kiosk, key))(t)
	s := ok(q.Answer(time.UnixMilli(1234567890123), key))(t)
	if !ed25519.Verify(public, layout([]byte("time-question/v1"), []byte(kiosk), q.Nonce), q.Sig) {
		t.Error("the question for the time is not signed over what the page says")
	}
	if !ed25519.Verify(public, layout([]byte("time/v1"), []byte(kiosk), q.Nonce, binary.BigEndian.AppendUint64(nil, 1234567890123)), s.Sig) {
		t.Error("the time is not signed over what the page says")
	}
	if e := ok(hex.DecodeString(epoch))(t); len(e) != 16 {
		t.Error("an epoch has 16 bytes")
	}
}

// layout puts each field behind its length in four bytes.
func layout(fields ...[]byte) []byte {
	var out []byte
	for _, f := range fields {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(f))), f...)
	}
	return out
}
