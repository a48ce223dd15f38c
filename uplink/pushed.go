package uplink

import (
	"context"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"gateagent/gate/wire"
)

// listenForPushes subscribes to the retained timestamp of the update
// repository. Its bytes are handed on as they come: whoever takes them proves
// them. A broker whose rules are older than the topic keeps nothing else out;
// the kiosk then looks at its mirrors from time to time.
func (c *connection) listenForPushes(ctx context.Context, u *Uplink) error {
	if u.cfg.Pushed == nil {
		return nil
	}
	token := c.client.Subscribe(wire.TopicTimestamp, 1, func(_ mqtt.Client, m mqtt.Message) {
		if len(m.Payload()) <= wire.MaxTimestampBytes {
			u.cfg.Pushed(m.Payload())
		}
	})
	if err := wait(ctx, token, u.cfg.Dial, "subscribe"); err != nil {
		return err
	}
	if err := granted(token); err != nil {
		u.log.Warn("pushes are not heard of at once", "err", err)
	}
	return nil
}
