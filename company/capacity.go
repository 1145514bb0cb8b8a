package company

import "dmalloc/message"

// capacity sets how many bytes may be backed here. What is allocated stays: below that it does not go. The answer's
// Value is what it is now.
func (c *Company) capacity(e *entry, m *message.Message) Result {
	to := max(min(m.Value, c.cfg.window()), c.charged)
	if to != c.cfg.Capacity {
		c.cfg.Capacity = to
		c.log(e, m, 0, to)
	}
	return Result{Value: to}
}
