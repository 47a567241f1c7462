// Words of what is done or told in order, in German, Spanish, French, Portuguese, Italian and Chinese. The data pipeline
// and the outlines of stock models leave such lists serial. In lower case; none is a common English word.

const listed = (...lists: string[]): string[] => lists.flatMap((list) => list.split(/\s*\|\s*/));

/** Of a line before a list, or of a request. */
export const procedureWords = listed(
  "schritt|schritte|schritten|schrittweise|anleitung|rezept|ablauf|prozess|vorgang|reihenfolge|zeitplan|verlauf|gliederung",
  "geschichte|erzähle|gedicht|berechne",
  "paso|pasos|instrucciones|receta|procedimiento|proceso|guía|itinerario|esquema|cronología|historia|novela|calcula",
  "étape|étapes|recette|procédure|processus|itinéraire|déroulement|chronologie|histoire|calcule",
  "passo|passos|instruções|receita|procedimento|processo|itinerário|roteiro|cronologia|história|romance|calcule",
  "passi|passaggio|passaggi|istruzioni|ricetta|procedura|processo|itinerario|scaletta|cronologia|storia|romanzo|calcola",
  "步骤|流程|过程|食谱|做法|教程|大纲|顺序|日程|时间线|故事|计算",
);

/** Beginnings of an item that goes on from the one before. */
export const sequelWords = listed(
  "dann|danach|anschließend|daraufhin|zuerst|zunächst|als nächstes|schließlich|nachdem|sobald|später",
  "luego|después|entonces|a continuación|primero|finalmente|por último|más tarde",
  "puis|ensuite|alors|d'abord|d’abord|enfin|finalement|une fois|après|plus tard",
  "depois|então|em seguida|primeiro|por fim|mais tarde",
  "poi|dopo|quindi|infine|in seguito|successivamente|più tardi",
  "然后|接着|接下来|随后|之后|首先|最后|其次",
);

/** Beginnings of a title that numbers the parts of a sequence: "Schritt 1". Chinese ones begin with 第. */
export const partWords = listed(
  "schritt|tag|woche|kapitel|phase|teil|szene|strophe",
  "paso|día|semana|capítulo|fase|parte|escena|estrofa",
  "étape|jour|semaine|chapitre|partie|scène|strophe",
  "passo|dia|cena",
  "passaggio|giorno|settimana|capitolo|scena|第",
);

/** Titles of parts that sum up the others. */
export const summaryWords = listed(
  "fazit|zusammenfassung|schlussfolgerung|ergebnis|conclusión|resumen|resultado|conclusion|résumé|en résumé|résultat",
  "conclusão|resumo|conclusione|riassunto|risultato|总结|结论|小结|总之|综上",
);
