package wire

import (
	"fmt"
	"strings"
)

// Kinds of topics; a topic is gate/v1/<kiosk>/<kind>.
const (
	TopicResults  = "results"  // kiosk to central, Batch, QoS 1
	TopicAck      = "ack"      // central to kiosk, Ack, QoS 1, never retained
	TopicPresence = "presence" // Presence, retained, also the kiosk's last will
	TopicStatus   = "status"   // Status, retained

	TopicTimeQuestion = "time_question" // kiosk to central, TimeQuestion, QoS 0
	TopicTime         = "time"          // central to kiosk, SignedTime, QoS 0, never retained
	TopicCommand      = "command"       // central to kiosk, Command, QoS 0, never retained
)

// Upward and Downward list the kinds that a kiosk writes, and those that it
// may listen to: what a broker has to allow it, and central the other way
// round.
func Upward() []string { return []string{TopicResults, TopicPresence, TopicStatus, TopicTimeQuestion} }

// Downward lists what central writes.
func Downward() []string { return []string{TopicAck, TopicTime, TopicCommand} }

const topicRoot = "gate/v1/"

// Topic names the topic of one kiosk, or of all kiosks when kiosk is "+".
func Topic(kiosk, kind string) string { return topicRoot + kiosk + "/" + kind }

// SplitTopic takes a topic apart and refuses one that no kiosk could own.
func SplitTopic(topic string) (kiosk, kind string, err error) {
	rest, ok := strings.CutPrefix(topic, topicRoot)
	if !ok {
		return "", "", fmt.Errorf("%w: topic %q is not under %s", ErrFormat, clip(topic), topicRoot)
	}
	kiosk, kind, ok = strings.Cut(rest, "/")
	if !ok {
		return "", "", fmt.Errorf("%w: topic %q names no kind", ErrFormat, clip(topic))
	}
	if err := CheckName(kiosk); err != nil {
		return "", "", err
	}
	switch kind {
	case TopicResults, TopicAck, TopicPresence, TopicStatus, TopicTimeQuestion, TopicTime, TopicCommand:
		return kiosk, kind, nil
	}
	return "", "", fmt.Errorf("%w: topic %q: unknown kind", ErrFormat, clip(topic))
}
