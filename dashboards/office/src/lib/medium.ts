// What passes through a meter, and the units in which it is told. Pure: units are keys of words.

import { figures, num, perMinute } from './format';

export type Medium = 'water' | 'hot_water' | 'heat' | 'electricity' | 'gas';

/** In the order of the pages: one table for all that is told in the same units. */
export const TABLES = ['water', 'heat', 'electricity', 'gas'] as const;
export type Table = (typeof TABLES)[number];

export const isEnergy = (m: Medium): boolean => m === 'heat' || m === 'electricity';
export const isWater = (m: Medium): boolean => m === 'water' || m === 'hot_water';
export const tableOf = (m: Medium): Table => (m === 'hot_water' ? 'water' : m);

// Each number stands in the field of its unit, and the other is null: litres, or kilowatt-hours.
export const amountOf = (of: { litres: number | null; kilowatt_hours: number | null }): number | null => of.litres ?? of.kilowatt_hours;
export const rateOf = (of: { litres_per_hour: number | null; kilowatts: number | null }): number | null => of.litres_per_hour ?? of.kilowatts;
export const registerOf = (of: { register_litres: number | null; register_kilowatt_hours: number | null }): number | null =>
  of.register_litres ?? of.register_kilowatt_hours;

// What follows gives a number as text, and the key of its unit.
export const rateUnit = (m: Medium) => (isEnergy(m) ? 'ui.unit.kw' : m === 'gas' ? 'ui.unit.m3h' : 'ui.unit.lpm');
export const totalUnit = (m: Medium) => (isEnergy(m) ? 'ui.unit.kwh' : m === 'gas' ? 'ui.unit.m3' : 'ui.unit.t');
export const dialUnit = (m: Medium) => (isEnergy(m) ? 'ui.unit.kwh' : 'ui.unit.m3');
export const smallUnit = (m: Medium) => (isEnergy(m) ? 'ui.unit.kwh' : 'ui.unit.l');
/** Of the chart's axis, where it shows every reading. */
export const axisUnit = (m: Medium) => (isEnergy(m) ? 'ui.unit.kw' : 'ui.unit.lph');

/** Litres per hour or kilowatts, as people say them: litres of water in a minute, m³ of gas in an hour. */
export const rate = (m: Medium, v: number) => ({ n: isEnergy(m) ? figures(v) : m === 'gas' ? figures(v / 1000) : perMinute(v), unit: rateUnit(m) }) as const;

/** Litres or kilowatt-hours, as people say a day or a month. */
export const total = (m: Medium, v: number) => ({ n: figures(isEnergy(m) ? v : v / 1000), unit: totalUnit(m) }) as const;

/** Litres or kilowatt-hours on a dial. */
export const dial = (m: Medium, v: number, digits = 3) => ({ n: isEnergy(m) ? num(v, Math.max(0, digits - 2)) : num(v / 1000, digits), unit: dialUnit(m) }) as const;

/** Litres or kilowatt-hours in a row of a table; a fraction of a litre is seldom of use, one of a kilowatt-hour is. */
export const small = (m: Medium, v: number) => ({ n: num(v, v % 1 === 0 ? 0 : isEnergy(m) ? 2 : 1), unit: smallUnit(m) }) as const;

/** What passes in one step of the chart's axis: litres per hour or kilowatts. */
export const axis = (m: Medium, v: number) => ({ n: isEnergy(m) ? figures(v) : num(v), unit: axisUnit(m) }) as const;
