//! The supervisor's records that wait for their connection.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::Record;

/// Records by cookie. Each is used once, or forgotten after a while: a connect that failed has a
/// record too, and nobody comes for it.
#[derive(Debug)]
pub struct Table {
    records: HashMap<u64, (Instant, Record)>,
    /// Cookies in the order in which they came, with the time that tells a replaced one.
    order: VecDeque<(Instant, u64)>,
    /// Bytes of the records, about.
    size: usize,
    capacity: usize,
    keep: Duration,
}

impl Table {
    /// A table of at most `capacity` records, each kept for at most `keep`.
    pub fn new(capacity: usize, keep: Duration) -> Self {
        let (records, order, capacity) = (HashMap::new(), VecDeque::new(), capacity.max(1));
        Self { records, order, size: 0, capacity, keep }
    }

    /// Adds a record. A newer one of the same socket replaces the older; when the table is full
    /// the oldest goes, and its connection will be denied.
    ///
    /// SECURITY: N1; a program says itself how long its arguments are, so bytes are counted.
    pub fn insert(&mut self, record: Record, now: Instant) {
        let _older = self.remove(record.cookie);
        self.size = self.size.saturating_add(record.size());
        self.order.push_back((now, record.cookie));
        self.records.insert(record.cookie, (now, record));
        self.forget(|table| table.order.len() > table.capacity || table.size > LONGEST, now);
    }

    /// Takes the record of a socket, so that no second connection can use it.
    pub fn take(&mut self, cookie: u64, now: Instant) -> Option<Record> {
        self.forget(|_| false, now);
        self.remove(cookie)
    }

    fn remove(&mut self, cookie: u64) -> Option<Record> {
        let (_, record) = self.records.remove(&cookie)?;
        self.size = self.size.saturating_sub(record.size());
        Some(record)
    }

    /// How many records wait.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn forget(&mut self, full: impl Fn(&Self) -> bool, now: Instant) {
        while let Some(&(came, cookie)) = self.order.front() {
            if now.saturating_duration_since(came) <= self.keep && !full(self) {
                break;
            }
            self.order.pop_front();
            if self.records.get(&cookie).is_some_and(|(kept, _)| *kept == came) {
                self.remove(cookie);
            }
        }
    }
}

/// Most bytes of records: 4 KiB each of as many as the supervisor keeps.
const LONGEST: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn a_record_is_used_once() {
        let now = Instant::now();
        let mut table = Table::new(8, Duration::from_secs(10));
        table.insert(record(1), now);
        assert_eq!(table.take(1, now).map(|record| record.cookie), Some(1));
        assert_eq!(table.take(1, now), None);
    }

    #[test]
    fn old_records_and_those_beyond_the_capacity_are_forgotten() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut table = Table::new(3, Duration::from_secs(10));
        (1..=4).for_each(|cookie| table.insert(record(cookie), at(0)));
        assert_eq!(table.len(), 3);
        assert_eq!(table.take(1, at(0)), None);
        // The newer record of one socket stays when the older one's time is over.
        table.insert(record(2), at(5));
        assert!(table.take(4, at(11)).is_none());
        assert!(table.take(2, at(11)).is_some());
        assert!(table.is_empty());
        assert_eq!(table.size, 0);
    }

    #[test]
    fn n01_long_arguments_do_not_make_a_table_large() {
        let now = Instant::now();
        let mut table = Table::new(16 * 1024, Duration::from_secs(10));
        for cookie in 0..4000 {
            let argv = vec!["x".repeat(24 * 1024)];
            table.insert(Record { argv, ..record(cookie) }, now);
        }
        let held: usize = table.records.values().map(|(_, record)| record.argv[0].len()).sum();
        assert!(held <= LONGEST, "{held}");
        assert!(table.take(0, now).is_none() && table.take(3999, now).is_some());
    }
}
