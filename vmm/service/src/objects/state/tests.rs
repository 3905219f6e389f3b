// SPDX-License-Identifier: BSD-2-Clause
//! Histories of the records against a plain model, which adds everything up anew each time.

use std::boxed::Box;
use std::vec::Vec;

use vmm_client::objects::{Amounts, Kind, Resource, Rights, RESOURCES};

use super::account::Account;
use super::charge::{charge, give, refund, take_back};
use super::object::{Object, What};
use super::tables::Tables;
use super::validate::CAPABILITY;

/// Numbers that are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as u32 % most
    }
}

fn nodes<T: Default>() -> &'static [T] {
    Box::leak((0..64).map(|_| T::default()).collect::<Box<[T]>>())
}

fn tables(most: u32) -> Tables<'static> {
    let mut tables = Tables::up_to(most);
    tables.free_objects.add(nodes());
    tables.free_capabilities.add(nodes());
    tables
}

/// An account of the model.
struct Plain {
    object: &'static Object<'static>,
    parent: Option<usize>,
    limits: u64,
    overcommit: bool,
    /// What is charged to it.
    charged: u64,
}

/// What an account uses: by itself, and by its children.
fn used(accounts: &[Plain], of: usize) -> u64 {
    let children = accounts.iter().enumerate().filter(|(_, other)| other.parent == Some(of));
    let given = children.map(|(index, child)| match child.overcommit {
        true => used(accounts, index),
        false => child.limits,
    });
    accounts[of].charged + given.sum::<u64>()
}

fn all_within(accounts: &[Plain]) -> bool {
    (0..accounts.len()).all(|index| used(accounts, index) <= accounts[index].limits)
}

fn insert(
    tables: &mut Tables<'static>,
    payer: Option<&'static Object<'static>>,
    account: Account,
) -> &'static Object<'static> {
    let object = tables.insert_object(Kind::Account, payer, Amounts::NONE).unwrap();
    object.what.set(What::Account(account));
    object
}

/// I26: whatever is charged, given back and moved, each account uses what its parts add up to, and
/// nothing is refused that every account has room for.
#[test]
fn accounts_add_up_after_any_history() {
    for seed in 1..40 {
        let random = &mut Random(0x9e37_79b9_7f4a_7c15 ^ seed);
        let mut tables = tables(1000);
        // Each resource in its turn.
        let resource = Resource::ALL[seed as usize % RESOURCES];
        let amounts = |amount: u64| Amounts::NONE.with(resource, amount as u32);
        let root =
            insert(&mut tables, None, Account { limits: amounts(1000), ..Account::default() });
        let first =
            Plain { object: root, parent: None, limits: 1000, overcommit: false, charged: 0 };
        let mut accounts = Vec::from([first]);
        // What is charged by itself, as objects are.
        let mut objects: Vec<(usize, &'static Object<'static>, u64)> = Vec::new();
        for _ in 0..200 {
            let at = random.below(accounts.len() as u32) as usize;
            let amount = u64::from(random.below(300));
            match random.below(5) {
                0 if accounts.len() < 12 => {
                    let overcommit = random.below(2) == 0;
                    let payer = Some(accounts[at].object);
                    let new = Account { overcommit, ..Account::default() };
                    let object = insert(&mut tables, payer, new);
                    let parent = Some(at);
                    accounts.push(Plain { object, parent, limits: 0, overcommit, charged: 0 });
                }
                1 => {
                    accounts[at].charged += amount;
                    let right = all_within(&accounts);
                    let done = charge(accounts[at].object, amounts(amount));
                    assert_eq!(done.is_ok(), right, "{done:?}");
                    match right {
                        true => {
                            let payer = Some(accounts[at].object);
                            let object =
                                tables.insert_object(Kind::Endpoint, payer, amounts(amount));
                            match object {
                                Some(object) => objects.push((at, object, amount)),
                                None => {
                                    refund(accounts[at].object, amounts(amount));
                                    accounts[at].charged -= amount;
                                }
                            }
                        }
                        false => accounts[at].charged -= amount,
                    }
                }
                2 if !objects.is_empty() => {
                    let which = random.below(objects.len() as u32) as usize;
                    let (at, object, amount) = objects.swap_remove(which);
                    tables.remove_object(object);
                    refund(accounts[at].object, amounts(amount));
                    accounts[at].charged -= amount;
                }
                3 if at != 0 => {
                    accounts[at].limits += amount;
                    let right = all_within(&accounts);
                    assert_eq!(give(accounts[at].object, amounts(amount)).is_ok(), right);
                    if !right {
                        accounts[at].limits -= amount;
                    }
                }
                4 if at != 0 => {
                    let left = accounts[at].limits - used(&accounts, at);
                    let right = amount <= left;
                    assert_eq!(take_back(accounts[at].object, amounts(amount)).is_ok(), right);
                    if right {
                        accounts[at].limits -= amount;
                    }
                }
                _ => {}
            }
            tables.validate().unwrap();
            for (index, plain) in accounts.iter().enumerate() {
                let account = plain.object.account().unwrap();
                assert_eq!(account.limits, amounts(plain.limits));
                assert_eq!(account.used, amounts(used(&accounts, index)));
            }
        }
    }
}

/// I27, with few badges: each is given out again when it was given back, and never twice.
#[test]
fn badges_come_again_and_lead_where_they_should() {
    let random = &mut Random(7);
    let mut tables = tables(9);
    let root = insert(&mut tables, None, Account { limits: Amounts::MAX, ..Account::default() });
    let object = tables.insert_object(Kind::Space, Some(root), Amounts::NONE).unwrap();
    let mut made = Vec::new();
    for _ in 0..2000 {
        if random.below(2) == 0 {
            let parent = match made.len() {
                0 => None,
                count => Some(made[random.below(count as u32) as usize]),
            };
            match tables.insert_capability(object, Rights::USE, parent, root) {
                Some(node) => {
                    charge(root, CAPABILITY).unwrap();
                    assert!(made.iter().all(|other| other.badge != node.badge));
                    made.push(node);
                }
                None => assert_eq!(made.len(), 9, "a badge is free"),
            }
        } else if !made.is_empty() {
            let which = random.below(made.len() as u32) as usize;
            if tables.first_derived(made[which]).is_none() {
                let node = made.swap_remove(which);
                tables.remove_capability(node);
                refund(root, CAPABILITY);
            }
        }
        tables.validate().unwrap();
        for node in &made {
            assert!(tables.capability(node.badge.get()).is_some_and(|it| core::ptr::eq(it, *node)));
        }
        assert_eq!(object.capabilities.get() as usize, made.len());
    }
}
