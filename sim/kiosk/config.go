package kiosk

import (
	"cmp"
	"fmt"
	"strings"

	"gateagent/internal/passhash"
)

// template of the agent's configuration. Waits are short: no person looks at
// this screen.
const template = `[gate]
name = "$GATE"
zone = "Asia/Ho_Chi_Minh"

[state]
dir = '$DIR/state'
runtime = '$DIR/run'

[policy]
name = "simulated"
face = "$FACE"

[clock]
source = "assume"

[reader]
name = "$READER"

[[scanner]]
path = '$DIR/dev/scanner'
framing = "line"

[barrier]
path = '$DIR/dev/relay'
profile = "modbus"
active = "energised_opens"
pulse = "200ms"
passage = "3s"
address = 1
relay = 1
input = 1

[trust]
dir = '$TRUST'

[list]
dir = '$DIR/incoming'
$KEYS

[uplink]
off = $OFF
$UPDATE

[web]
listen = "$LISTEN"

[[staff.operator]]
name = "$OPERATOR"
pin = "$PIN"

[timing]
card = "$CARD"
scan = "$CARD"
outcome = "$OUTCOME"
`

func (k *Kiosk) config() string {
	keys := ""
	if k.o.Central == nil {
		keys = fmt.Sprintf("keys = ['%s']", k.Path("keys/signing.pub"))
	}
	update := ""
	if k.o.Pushed {
		c := k.o.Central
		update = fmt.Sprintf("[update]\nroot = '%s'\nairport = %q\nmirrors = [%q]", c.repo.Root(), c.repo.Airport, c.Mirror())
	}
	return strings.NewReplacer(
		"$UPDATE", update, "$FACE", cmp.Or(k.o.Face, "off"), "$GATE", k.Gate(), "$DIR", k.o.Dir, "$READER", reader, "$TRUST", k.o.Trust, "$KEYS", keys,
		"$OFF", fmt.Sprint(k.o.Central == nil), "$LISTEN", k.listen, "$OPERATOR", Operator,
		"$PIN", passhash.Hash([]byte(pin)), "$CARD", k.o.Card.String(), "$OUTCOME", k.o.Outcome.String(),
	).Replace(template)
}
